"""Arrays of images as PNG: grids of samples, and single pictures inside a page."""

import math
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convergan.errors import UserError
from convergan.images.encode import to_picture, to_png
from convergan.outputs import binary_output

GUTTER_PX = 2
TILE_PX = 64  # smaller images are enlarged to about this, by a whole factor
PAGE_IMAGE_PX = 128  # larger images are scaled down to this inside a page
PAGE_GRID_BYTES = 500_000  # raw pixels that a grid inside a page may hold


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page."""

    uri: str
    width: int
    height: int
    crisp: bool
    """True if the pixels were enlarged, and should appear as squares."""


def write_sample_grid(path: Path, images: np.ndarray, *, columns: int | None = None) -> None:
    """Write images (uint8 `[n, height, width, channels]`) row by row into one PNG.

    Images below 64 px are enlarged by a whole factor, pixel for pixel. The gutter between the images is
    transparent. Unless `columns` says otherwise, the grid is about square.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with binary_output(path) as file:
        file.write(to_png(_grid(images, columns)))


def grid_picture(images: np.ndarray) -> Picture:
    """The first images as a square grid, limited in number to keep the page small."""
    images = _scaled_down(_checked(images))
    side = next((n for n in (8, 6, 4, 3) if n * n * images[0].size <= PAGE_GRID_BYTES), 2)
    return _picture(_grid(images[: side * side], side), enlarged=_factor(images) > 1)


def strip_picture(images: np.ndarray) -> Picture:
    """All images in one row."""
    images = _scaled_down(_checked(images))
    return _picture(_grid(images, len(images)), enlarged=_factor(images) > 1)


def single_picture(image: np.ndarray) -> Picture:
    """A single image, `[height, width, channels]`, as a picture."""
    images = _scaled_down(_checked(image[None]))
    return _picture(_grid(images, 1), enlarged=_factor(images) > 1)


def _checked(images: np.ndarray) -> np.ndarray:
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[-1] not in (1, 3)
        or images.size == 0
    ):
        raise UserError(
            "images: expected uint8 [n, height, width, 1 or 3], at least one, "
            f"got {images.dtype} {list(images.shape)}"
        )
    return images


def _factor(images: np.ndarray) -> int:
    return max(1, TILE_PX // max(images.shape[1:3]))


def _grid(images: np.ndarray, columns: int | None) -> np.ndarray:
    """The grid as `[height, width, channels + 1]`; the last channel is opacity."""
    images = _checked(images)
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    factor = _factor(images)
    tiles = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width, channels = tiles.shape[1:]
    step_y, step_x = height + GUTTER_PX, width + GUTTER_PX
    grid = np.zeros(
        (rows * step_y - GUTTER_PX, columns * step_x - GUTTER_PX, channels + 1), np.uint8
    )
    for index, tile in enumerate(tiles):
        top, left = index // columns * step_y, index % columns * step_x
        grid[top : top + height, left : left + width, :-1] = tile
        grid[top : top + height, left : left + width, -1] = 255
    return grid


def _scaled_down(images: np.ndarray) -> np.ndarray:
    height, width, channels = images.shape[1:]
    scale = PAGE_IMAGE_PX / max(height, width)
    if scale >= 1:
        return images
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [to_picture(image).resize(size) for image in images]
    return np.stack([np.asarray(image).reshape(size[1], size[0], channels) for image in small])


def _picture(grid: np.ndarray, *, enlarged: bool) -> Picture:
    uri = "data:image/png;base64," + b64encode(to_png(grid)).decode()
    return Picture(uri, grid.shape[1], grid.shape[0], enlarged)
