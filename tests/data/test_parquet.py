from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convergan.data import UNLABELLED, open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def png(tmp_path, write_image):
    def encoded(seed: int) -> bytes:
        write_image(tmp_path / "one.png", seed=seed)
        return (tmp_path / "one.png").read_bytes()

    return encoded


@pytest.fixture
def write(png):
    """Writes plain parquet: a struct of bytes and path as the hub has them, and columns as given."""

    def write_file(
        file: Path, rows: int, first_seed: int = 0, column: str = "image", **columns
    ) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        images = [{"bytes": png(first_seed + row), "path": None} for row in range(rows)]
        pq.write_table(pa.table({column: images, **columns}), file, row_group_size=2)

    return write_file


def write_paths(file: Path, paths: list[str]) -> None:
    pq.write_table(pa.table({"image": [{"bytes": None, "path": path} for path in paths]}), file)


def opened(path: Path, source: str = "folder", **settings):
    return open_data_set(DataSettings(source=source, path=path, **settings))


def test_files_as_the_hub_writes_them(folder, png, tmp_path, write_image):
    features = datasets.Features(
        {
            "other": datasets.Value("int64"),
            "pic": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
        }
    )
    for split, labels in {"train": [1, -1, 0, 1, 1], "test": [0, 1]}.items():
        rows = {
            "other": [7] * len(labels),
            "pic": [{"bytes": png(row), "path": None} for row in range(len(labels))],
            "label": labels,
        }
        (folder / "data").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
    data = opened(folder, source="some/hub-id")
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [1, UNLABELLED, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert data.train.names[3] == "data/train-00000-of-00001.parquet row 3"
    for row in range(5):
        assert np.array_equal(data.train.images[row], write_image(tmp_path / "one.png", seed=row))


def test_several_files_are_one_set_and_distinct_labels_are_the_classes(folder, write):
    write(folder / "train-0.parquet", 3, column="img", label=["b", None, "a"])
    write(folder / "train-1.parquet", 2, first_seed=3, column="img", label=["c", ""])
    data = opened(folder)
    assert data.classes == ("a", "b", "c")
    assert data.train.labels.tolist() == [1, -1, 0, 2, -1]
    assert list(data.train.names[2:4]) == ["train-0.parquet row 2", "train-1.parquet row 0"]
    assert data.test is None


def test_numbers_without_names_are_classes_in_their_order(folder, write):
    write(folder / "any.parquet", 4, label=[10, 2, -1, 10])
    data = opened(folder)
    assert data.classes == ("2", "10")
    assert data.train.labels.tolist() == [1, 0, UNLABELLED, 1]


def test_without_a_label_column_all_is_unlabelled(folder, write):
    write(folder / "train.parquet", 2)
    data = opened(folder)
    assert data.classes == () and data.train.labels.tolist() == [-1, -1]


@pytest.mark.parametrize("test_labels", [None, [-1, -1, -1]])
def test_validation_is_the_test_where_test_has_no_labels(folder, write, test_labels):
    write(folder / "train-0.parquet", 2, label=[0, 1])
    write(folder / "validation-0.parquet", 2, label=[1, 1])
    if test_labels is not None:
        write(folder / "test-0.parquet", 3, label=test_labels)
    assert list(opened(folder).test.names) == [f"validation-0.parquet row {row}" for row in (0, 1)]


def test_test_goes_before_validation(folder, write):
    for split in ("train", "validation", "test"):
        write(folder / f"{split}-0.parquet", 2, label=[0, 1])
    assert opened(folder).test.names[0] == "test-0.parquet row 0"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/0000", "test/0000"),
        ("default/train/0000", "default/test/0000"),
        ("partial-train/0000", "partial-test/0000"),
        ("Training/0000", "VAL/0000"),
        ("mnist_train", "mnist_test"),
        ("plain/train-0", "plain/validation-0"),
        ("test/train-0", "test/test-0"),  # the file's own name goes first
    ],
)
def test_a_split_is_told_by_the_file_or_its_folder(folder, write, train, test):
    write(folder / f"{train}.parquet", 3, label=[0, 1, 1])
    write(folder / f"{test}.parquet", 2, first_seed=3, label=[1, 0])
    data = opened(folder)
    assert list(data.train.names) == [f"{train}.parquet row {row}" for row in range(3)]
    assert list(data.test.names) == [f"{test}.parquet row {row}" for row in range(2)]


def test_folders_above_the_given_one_tell_nothing(folder, write):
    write(folder / "test" / "0000.parquet", 2, label=[0, 1])
    assert len(opened(folder / "test").train) == 2


@pytest.mark.parametrize("other", ["0001", "latest/0000", "train-test/0000"])
def test_a_file_of_an_unknown_split_beside_a_known_one_is_named(folder, write, other):
    write(folder / "test" / "0000.parquet", 2, label=[0, 1])
    write(folder / f"{other}.parquet", 2, label=[0, 1])
    expected = (
        rf"images/{other}\.parquet: expected train, test or val in the name of the file or its"
        r" folder, as in test/0000\.parquet, got none"
    )
    with pytest.raises(UserError, match=expected):
        opened(folder)


def test_the_extra_images_of_svhn_are_not_used(folder, write):
    for split in ("train", "test", "extra"):
        write(folder / f"{split}-00000-of-00001.parquet", 2, label=[0, 1])
    data = opened(folder, source="svhn")
    assert len(data.train) == len(data.test) == 2


def test_svhn_has_a_folder_for_its_configuration(folder, write):
    write(folder / "cropped_digits" / "train-0.parquet", 2, label=[0, 1])
    write(folder / "full_numbers" / "train-0.parquet", 2, label=[0, 1])
    assert len(opened(folder, source="svhn").train) == 2


def test_plain_bytes_are_images_too(folder, png):
    pq.write_table(pa.table({"image": [png(0), png(1)]}), folder / "train.parquet")
    assert len(opened(folder).train) == 2


def test_paths_are_of_files_beside_the_parquet_file(folder, write_image):
    inside = [write_image(folder / "data" / "images" / f"{seed}.png", seed=seed) for seed in (0, 1)]
    paths = ["images/0.png", str(folder / "data" / "images" / "1.png")]
    write_paths(folder / "data" / "train.parquet", paths)
    assert np.array_equal(opened(folder).train.images, inside)


@pytest.mark.parametrize("path", ["../secret.png", "images/../../secret.png", "absolute"])
def test_paths_that_lead_elsewhere_are_unreadable(folder, write_image, path):
    write_image(folder / "data" / "1.png")
    write_image(folder / "secret.png")
    if path == "absolute":
        path = str(folder / "secret.png")
    write_paths(folder / "data" / "train.parquet", ["1.png", path])
    expected = (
        rf"train\.parquet row 1: expected a readable image, got the path '{path}', which leads"
    )
    with pytest.raises(UserError, match=expected):
        opened(folder)
    assert len(opened(folder, skip_unreadable=True).train) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"column": "picture"},
            r"train\.parquet: expected a column named image or img, got picture",
        ),
        ({"label": [0.5, 1.0]}, r"train\.parquet: expected integers or text .* label, got float"),
    ],
)
def test_wrong_columns_are_named(folder, write, columns, message):
    write(folder / "train.parquet", 2, **columns)
    with pytest.raises(UserError, match=message):
        opened(folder)


def test_several_columns_of_classes_are_too_many(folder, png):
    classes = datasets.ClassLabel(names=["a"])
    features = datasets.Features({"image": datasets.Image(), "fine": classes, "coarse": classes})
    rows = {"image": [{"bytes": png(0), "path": None}], "fine": [0], "coarse": [0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "train.parquet")
    with pytest.raises(UserError, match=r"expected one column of labels, .*, got fine, coarse"):
        opened(folder)


def test_labels_outside_the_classes_are_named(folder, write):
    write(folder / "train.parquet", 2, label=["a", "b"])
    write(folder / "test.parquet", 2, label=["b", "z"])
    with pytest.raises(UserError, match=r"test\.parquet row 1: expected a label among .*, got 'z'"):
        opened(folder)


def test_a_test_image_without_a_label_is_named(folder, write):
    write(folder / "train.parquet", 2, label=[0, 1])
    write(folder / "test.parquet", 2, label=[1, None])
    with pytest.raises(UserError, match=r"test\.parquet row 1: expected a label, .*, got none"):
        opened(folder)


def test_a_bad_row_is_named(folder, png):
    images = [{"bytes": png(0), "path": None}, {"bytes": png(1)[:50], "path": None}]
    pq.write_table(pa.table({"image": images}), folder / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet row 1: expected a readable image"):
        opened(folder)


def test_a_broken_file_and_a_folder_without_training_files_are_named(folder, write):
    write(folder / "test-0.parquet", 2)
    with pytest.raises(
        UserError, match=r"expected parquet files named train-\*\.parquet, or in .*, got none"
    ):
        opened(folder)
    (folder / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"train\.parquet: expected a parquet file, got ") as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
