import numpy as np
import pytest

from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.images.read_images import find_images, read_images
from convergan.recipes.settings import DataSettings


def test_images_are_found_below_a_folder_and_sorted(folder, write_image):
    for name in ["b.JPG", "a/2.png", "a/10.png", ".git/x.png"]:
        write_image(folder / name)
    (folder / "a" / "table.csv").write_text("")
    assert find_images(folder) == [folder / "a/10.png", folder / "a/2.png", folder / "b.JPG"]
    assert find_images(folder / "b.JPG") == [folder / "b.JPG"]


def test_nothing_found_is_an_error(folder):
    with pytest.raises(UserError, match=r"expected images \(\.bmp, .*\), got a folder with none"):
        find_images(folder)
    with pytest.raises(
        UserError, match=r"absent: expected an image or a folder .*, got nothing there"
    ):
        find_images(folder / "absent")


@pytest.mark.parametrize("resize", [True, False])
def test_images_are_read_as_the_training_images_were(folder, write_image, resize):
    for seed in range(7):
        write_image(folder / f"{seed}.png", seed=seed, width=12 + seed * resize, height=10)
    size = (10, 10) if resize else (10, 12)
    trained_on = open_data_set(DataSettings(path=folder, size_px=10 if resize else None)).train
    batches = list(
        read_images(find_images(folder), size=size, channels=3, resize=resize, batch_size=3)
    )
    assert [len(names) for names, _ in batches] == [3, 3, 1]
    assert batches[2][0] == [str(folder / "6.png")]
    assert np.array_equal(np.concatenate([images for _, images in batches]), trained_on.images)


def test_channels_are_converted(folder, write_image):
    grey = write_image(folder / "1.png", mode="L")
    ((_, images),) = read_images([folder / "1.png"], size=(8, 8), channels=3, resize=False)
    assert np.array_equal(images[0], np.repeat(grey[..., None], 3, axis=2))


def test_wrong_images_are_named(folder, write_image):
    write_image(folder / "wide.png", width=9)
    with pytest.raises(UserError, match=r"wide\.png: expected 8x8 pixels .*, got 9x8"):
        list(read_images([folder / "wide.png"], size=(8, 8), channels=1, resize=False))
    (folder / "broken.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"broken\.png: expected a readable image, got not an image"
    ):
        list(read_images([folder / "broken.png"], size=(8, 8), channels=1, resize=True))
