from pathlib import Path

import numpy as np
import pytest

from convergan.data.image_set import UNLABELLED
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


def opened(path: Path, **settings):
    return open_data_set(DataSettings(source="folder", path=path, **settings))


def labels_of(part) -> dict[str, int]:
    return dict(zip(part.names, part.labels.tolist(), strict=True))


def test_each_folder_is_a_class_and_some_are_more(folder, write_image):
    pixels = {}
    for seed, name in enumerate(
        [
            "dog/1.png",
            "cat/1.PNG",
            "cat/more/2.bmp",
            "unlabelled/x/u.png",
            "loose.png",
            "test/dog/9.png",
        ]
    ):
        pixels[name] = write_image(folder / name, seed=seed)
    write_image(folder / ".hidden" / "no.png")
    write_image(folder / "cat" / "._no.png")
    (folder / "cat" / "notes.txt").write_text("no image")
    (folder / "__MACOSX").mkdir()
    data = opened(folder)
    assert data.classes == ("cat", "dog")
    assert labels_of(data.train) == {
        "cat/1.PNG": 0,
        "cat/more/2.bmp": 0,
        "dog/1.png": 1,
        "loose.png": UNLABELLED,
        "unlabelled/x/u.png": UNLABELLED,
    }
    assert labels_of(data.test) == {"test/dog/9.png": 1}
    for part in (data.train, data.test):
        for name, image in zip(part.names, part.images, strict=True):
            assert np.array_equal(image, pixels[name])


def test_a_flat_folder_has_no_labels(folder, write_image):
    for number in range(3):
        write_image(folder / f"{number}.png")
    data = opened(folder)
    assert data.classes == () and data.test is None
    assert data.train.labels.tolist() == [UNLABELLED] * 3


@pytest.mark.parametrize("test", ["test", "val"])
def test_train_and_test_folders_are_understood(folder, write_image, test):
    for name in ["train/a/1.png", "train/b/1.png", "unlabeled/1.png", f"{test}/b/1.png"]:
        write_image(folder / name)
    data = opened(folder)
    assert data.classes == ("a", "b")
    assert labels_of(data.train) == {"train/a/1.png": 0, "train/b/1.png": 1, "unlabeled/1.png": -1}
    assert labels_of(data.test) == {f"{test}/b/1.png": 1}


def test_a_class_may_be_called_train(folder, write_image):
    for name in ["car/1.png", "train/1.png"]:
        write_image(folder / name)
    assert opened(folder).classes == ("car", "train")


def test_linked_folders_are_followed_but_not_in_circles(folder, tmp_path, write_image):
    write_image(tmp_path / "elsewhere" / "1.png")
    write_image(folder / "a" / "1.png")
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    (folder / "a" / "circle").symlink_to(folder)
    assert list(opened(folder).train.names) == ["a/1.png", "b/1.png"]


def test_a_test_image_of_another_class_is_named(folder, write_image):
    for name in ["a/1.png", "b/1.png", "test/c/7.png"]:
        write_image(folder / name)
    expected = r"images/test/c/7\.png: expected a label among the 2 classes .* \(a, b\), got 'c'"
    with pytest.raises(UserError, match=expected):
        opened(folder)


def test_a_test_image_without_a_class_is_named(folder, write_image):
    for name in ["a/1.png", "b/1.png", "test/7.png"]:
        write_image(folder / name)
    with pytest.raises(UserError, match=r"test/7\.png: expected test images in test/<class>/"):
        opened(folder)


def test_empty_and_absent_folders_are_named(folder, tmp_path):
    (folder / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"images: expected images .*, got a folder with none"):
        opened(folder)
    expected = r"data\.path: expected a folder of images, got"
    with pytest.raises(UserError, match=rf"{expected} .*absent, where there is nothing$"):
        opened(tmp_path / "absent")
    with pytest.raises(
        UserError,
        match=rf"{expected} .*notes\.txt, which is a file; name the folder with the classes$",
    ):
        opened(folder / "notes.txt")


@pytest.mark.parametrize(
    ("images", "empty"),
    [
        (["dog/1.png", "cow/1.png"], "cats"),
        (["1.png"], "cats"),
        (["train/dog/1.png", "train/cow/1.png"], "train/cats"),
        (["test/dog/1.png"], "train"),
        (["dog/1.png", "cow/1.png"], "test"),
        (["train/dog/1.png", "train/cow/1.png"], "val"),
    ],
)
def test_an_empty_folder_is_named(folder, write_image, images, empty):
    for name in images:
        write_image(folder / name)
    (folder / empty / "below").mkdir(parents=True)
    (folder / empty / "photo.heic").write_bytes(b"no known format")
    expected = (
        rf"images/{empty}: expected images .*, got a folder with none"
        r" \(1 file skipped: \.heic 1\); remove the folder if"
    )
    with pytest.raises(UserError, match=expected):
        opened(folder)


@pytest.mark.parametrize("train", ["", "train/"])
@pytest.mark.parametrize("empty", ["unlabelled", "test/cow", ".cache", "__MACOSX"])
def test_a_folder_that_no_class_is_lost_with_may_be_empty(folder, write_image, train, empty):
    for name in [f"{train}dog/1.png", f"{train}cow/1.png", "test/dog/1.png"]:
        write_image(folder / name)
    (folder / empty).mkdir(parents=True)
    assert opened(folder).classes == ("cow", "dog")


def test_a_list_of_labels_does_not_care_for_empty_folders(folder, write_image):
    write_image(folder / "1.png")
    (folder / "notes").mkdir()
    (folder / "metadata.csv").write_text("file_name,label\n1.png,dog\n")
    assert opened(folder).classes == ("dog",)


def test_only_test_images_are_no_data_set(folder, write_image):
    write_image(folder / "test" / "a" / "1.png")
    with pytest.raises(UserError, match="images: expected training images, got only test images"):
        opened(folder)


@pytest.mark.parametrize("table", ["labels.csv", "more.csv", "cat/metadata.csv"])
def test_a_table_beside_folders_of_classes_is_named(folder, write_image, table):
    for seed, name in enumerate(("cat/1.png", "dog/2.png")):
        write_image(folder / name, seed=seed)
    (folder / table).write_text("file_name,label\ncat/1.png,dog\n")
    looks_like, counted = opened(folder).notes
    assert looks_like.startswith(f"{table} looks like a table of labels and is not read")
    assert counted == "1 file skipped: .csv 1"
    (folder / table).write_text("x,y\n1,2\n")
    assert len(opened(folder).notes) == (1 if table == "more.csv" else 2)
