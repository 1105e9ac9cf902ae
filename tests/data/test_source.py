import numpy as np
import pytest
from PIL import Image

from convergan.data.image_set import data_set_from_arrays
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings
from parquet_images import write_parquet


@pytest.fixture
def images(folder, write_image):
    """Six readable images of two classes, grey but for one."""
    for seed in range(6):
        name = f"{'ab'[seed % 2]}/{seed}.png"
        write_image(folder / name, seed=seed, mode="RGB" if seed == 2 else "L")
    return folder


def test_a_folder_is_asked_for():
    with pytest.raises(
        UserError,
        match=r"data\.path: expected a folder of images, got none; --data\.path DIR names one",
    ):
        open_data_set(DataSettings(source="folder"))


def test_grey_stays_grey_until_one_image_has_colour(images):
    data = open_data_set(DataSettings(path=images))
    assert data.train.images.shape == (6, 8, 8, 3)
    for name, image in zip(data.train.names, data.train.images, strict=True):
        with Image.open(images / name) as file:
            assert np.array_equal(image, np.asarray(file.convert("RGB")))
    (images / "a" / "2.png").unlink()
    assert open_data_set(DataSettings(path=images)).train.images.shape == (5, 8, 8, 1)
    assert open_data_set(DataSettings(path=images, channels=3)).train.images.shape == (5, 8, 8, 3)


def test_images_beside_parquet_files_are_not_passed_over_in_silence(images):
    data = open_data_set(DataSettings(path=images))
    write_parquet(images / "train.parquet", data.train.images, data.train.labels, "image")
    (note,) = open_data_set(DataSettings(path=images)).notes
    assert note == "6 image files next to parquet files are not read, unless these name them"


def test_the_fingerprint_is_that_of_the_pixels_wherever_they_come_from(images):
    data = open_data_set(DataSettings(path=images))
    rebuilt = data_set_from_arrays(data.train.images, data.train.labels, classes=data.classes)
    assert rebuilt.fingerprint == data.fingerprint


def test_images_on_the_disk_are_those_in_memory(images, write_image):
    for name in ("a/6.png", "b/7.png"):
        write_image(images / "test" / name)
    resident = open_data_set(DataSettings(path=images))
    on_disk = open_data_set(DataSettings(path=images, resident_mb=0))
    assert isinstance(resident.train.images, np.ndarray)
    assert not isinstance(on_disk.train.images, np.ndarray)
    assert resident.fingerprint == on_disk.fingerprint
    for in_memory, stored in (
        (resident.train.images, on_disk.train.images),
        (resident.test.images, on_disk.test.images),
    ):
        assert stored.shape == in_memory.shape and stored.nbytes == in_memory.nbytes
        assert np.array_equal(np.array(stored), in_memory)
        assert all(np.array_equal(*pair) for pair in zip(stored, in_memory, strict=True))
        for index in (0, -1, slice(1, None), slice(None, None, -1), np.array([1, 0, 1, -1]), []):
            assert np.array_equal(stored[index], in_memory[index])
        with pytest.raises(IndexError):
            stored[len(stored)]


def test_another_size_is_an_error_unless_all_are_resized(images, write_image):
    write_image(images / "b" / "wide.png", width=12, height=9)
    expected = (
        r"b/wide\.png: expected 8x8 pixels \(width x height\) as a/0\.png, got 12x9;"
        r" --data\.size-px 32 resizes all"
    )
    with pytest.raises(UserError, match=expected):
        open_data_set(DataSettings(path=images, skip_unreadable=True))
    assert open_data_set(DataSettings(path=images, size_px=10)).train.images.shape == (7, 10, 10, 3)


def test_unreadable_images_are_errors_or_skipped(images, write_image):
    write_image(images / "test" / "b" / "0.png")
    for name in ("a/0.png", "b/3.png", "test/a/1.png"):
        intact = images / "b" / "5.png"
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(intact.read_bytes()[:70])
    with pytest.raises(
        UserError, match=r"a/0\.png: expected a readable image, got .+; --data\.skip-un"
    ):
        open_data_set(DataSettings(path=images))
    for _ in range(2):  # decoded, and from the store
        data = open_data_set(DataSettings(path=images, skip_unreadable=True))
        assert [image.name for image in data.skipped] == ["a/0.png", "b/3.png", "test/a/1.png"]
        assert all(image.reason for image in data.skipped)
        assert list(data.train.names) == ["a/2.png", "a/4.png", "b/1.png", "b/5.png"]
        assert data.train.labels.tolist() == [0, 0, 1, 1]
        assert list(data.test.names) == ["test/b/0.png"] and data.test.labels.tolist() == [1]
        assert len(data.test.images) == 1
        with Image.open(images / "b" / "5.png") as file:
            assert np.array_equal(data.train.images[3, :, :, 0], np.asarray(file))


def test_a_link_to_nowhere_is_an_unreadable_image(images):
    (images / "a" / "link.png").symlink_to("nowhere.png")
    with pytest.raises(
        UserError, match=r"a/link\.png: expected a readable image, got No such file .*skip-unread"
    ):
        open_data_set(DataSettings(path=images))
    skipping = DataSettings(path=images, skip_unreadable=True)
    for _ in range(2):  # decoded, and from the store
        data = open_data_set(skipping)
        assert [image.name for image in data.skipped] == ["a/link.png"]
        assert len(data.train) == 6
    (images / "a" / "nowhere.png").symlink_to("0.png")
    data = open_data_set(skipping)
    assert data.skipped == () and len(data.train) == 8


def test_megabytes_of_the_images_in_memory_are_of_a_million_bytes(folder, write_image):
    write_image(folder / "1.png", width=1010, height=1000, mode="L")
    images = open_data_set(DataSettings(path=folder, resident_mb=1)).train.images
    assert 10**6 < images.nbytes < 2**20 and not isinstance(images, np.ndarray)


def test_nothing_readable_is_an_error(folder):
    (folder / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="images: expected readable training images, got none"):
        open_data_set(DataSettings(path=folder, skip_unreadable=True))


def test_progress_ends_with_all_images(images):
    reports = []
    open_data_set(
        DataSettings(path=images), progress=lambda done, total: reports.append((done, total))
    )
    assert reports[-1] == (6, 6)
    assert reports == sorted(reports)
    reports.clear()
    open_data_set(
        DataSettings(path=images), progress=lambda done, total: reports.append((done, total))
    )
    assert reports == []
