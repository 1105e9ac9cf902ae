import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.errors import UserError
from convergan.page.images import GUTTER_PX, grid_picture, single_picture, write_sample_grid


def random_images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("side", "channels", "factor"), [(8, 1, 8), (28, 1, 2), (32, 3, 2), (96, 3, 1)]
)
def test_every_tile_is_its_image_enlarged(
    tmp_path: Path, side: int, channels: int, factor: int
) -> None:
    images = random_images(7, side, side, channels)
    write_sample_grid(tmp_path / "grid.png", images, columns=3)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    step = side * factor + GUTTER_PX
    assert grid.shape == (3 * step - GUTTER_PX, 3 * step - GUTTER_PX, channels + 1)
    for index, image in enumerate(images):
        top, left = index // 3 * step, index % 3 * step
        tile = grid[top : top + side * factor, left : left + side * factor]
        assert (tile[..., -1] == 255).all()
        for y in range(factor):
            for x in range(factor):
                np.testing.assert_array_equal(tile[y::factor, x::factor, :-1], image)
    opaque = (grid[..., -1] == 255).sum()
    assert opaque == 7 * (side * factor) ** 2, "the gutter and the empty places are transparent"


def test_a_grid_is_about_square(tmp_path: Path) -> None:
    write_sample_grid(tmp_path / "new" / "grid.png", random_images(10, 64, 64, 3))
    assert Image.open(tmp_path / "new" / "grid.png").size == (4 * 66 - 2, 3 * 66 - 2)


def test_a_grid_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    path, images = tmp_path / "grid.png", random_images(4, 8, 8, 1)
    write_sample_grid(path, images)
    first = path.read_bytes()
    write_sample_grid(path, images)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 1)),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 1), np.uint8),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(
        UserError, match=r"images: expected uint8 \[n, height, width, 1 or 3\].*got"
    ):
        write_sample_grid(tmp_path / "grid.png", images)
    assert not list(tmp_path.iterdir())


def test_large_images_are_scaled_down_in_a_page() -> None:
    picture = single_picture(random_images(512, 256, 3))
    assert (picture.width, picture.height, picture.crisp) == (64, 128, False)
    assert grid_picture(random_images(64, 256, 256, 3)).width == 3 * 130 - 2


def test_a_picture_holds_its_image() -> None:
    image = random_images(8, 8, 1)
    picture = single_picture(image)
    png = base64.b64decode(picture.uri.removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png)))[::8, ::8, :1], image)
    assert picture.crisp
