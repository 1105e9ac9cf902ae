"""Image files: finding them, and reading them without a store."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from convergan.data.decode import SUFFIXES, Unreadable, decode_in_order
from convergan.data.image_set import SkippedImage
from convergan.errors import UserError

_SUFFIXES = tuple(SUFFIXES)


def find_images(path: Path) -> list[Path]:
    """The image files in a folder and in the folders below it, sorted; or `[path]`, if it is a file.

    Files count as images by their suffix (`decode.SUFFIXES`); others are passed over, and so is
    whatever has a name that starts with a dot.

    Raises:
        UserError: `path` is absent, or a folder without images.
    """
    return [Path(file) for file in find_image_files(path)]


def find_image_files(path: Path) -> list[str]:
    """`find_images` as text: half a second sooner for 60,000 files."""
    if path.is_file():
        return [str(path)]
    if not path.is_dir():
        raise UserError(f"{path}: expected an image or a folder of images, got nothing there")
    found = _walk(path)
    if not found:
        raise UserError(
            f"{path}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder with none"
        )
    folder = "" if path == Path() else os.path.join(path, "")
    return [folder + name for name in found]


def read_images(
    paths: Sequence[str | Path],
    *,
    size: tuple[int, int],
    channels: Literal[1, 3],
    resize: bool,
    batch_size: int = 256,
    unreadable: Callable[[SkippedImage], None] | None = None,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Decodes image files as `open_data_set` does, some at a time, in order.

    Args:
        paths: image files, as `find_images` or `find_image_files` returns them.
        size: height and width in pixels.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted.
        resize: scale images of other sizes and crop them at the centre; otherwise they are errors.
        batch_size: images at a time, at most.
        unreadable: called with each image that cannot be read, which is then left out. None: it is an error.

    Yields:
        The paths as text, and their pixels: uint8 [batch, height, width, channels].

    Raises:
        UserError: an unreadable image, or one of another size; names its file.
    """
    results = zip(
        map(str, paths),
        decode_in_order(paths, channels=channels, size=size if resize else None),
        strict=True,
    )
    readable = results if unreadable is None else _without_unreadable(results, unreadable)
    while batch := list(islice(readable, batch_size)):
        images = np.empty((len(batch), *size, channels), dtype=np.uint8)
        for place, (name, result) in zip(images, batch, strict=True):
            place[...] = _require_image(name, result, size)
        yield [name for name, _ in batch], images


def _without_unreadable(
    results: Iterable[tuple[str, np.ndarray | Unreadable]],
    unreadable: Callable[[SkippedImage], None],
) -> Iterator[tuple[str, np.ndarray | Unreadable]]:
    for name, result in results:
        if isinstance(result, Unreadable):
            unreadable(SkippedImage(name, str(result)))
        else:
            yield name, result


def _require_image(name: str, result: np.ndarray | Unreadable, size: tuple[int, int]) -> np.ndarray:
    if isinstance(result, Unreadable):
        raise UserError(f"{name}: expected a readable image, got {result}")
    if result.shape[:2] != size:
        raise UserError(
            f"{name}: expected {size[1]}x{size[0]} pixels (width x height),"
            f" got {result.shape[1]}x{result.shape[0]}"
        )
    return result


def _walk(path: Path) -> list[str]:
    """Names, relative to `path`, of the images below it, sorted; links are followed, but not in circles."""
    found: list[str] = []
    seen: set[str] = set()
    for folder, below, files in os.walk(path, followlinks=True):
        seen.add(os.path.realpath(folder))
        below[:] = [
            name
            for name in below
            if not name.startswith(".") and not _leads_back(folder, name, seen)
        ]
        prefix = Path(folder).relative_to(path).as_posix()
        found += [
            name if prefix == "." else f"{prefix}/{name}"
            for name in files
            if not name.startswith(".") and name.lower().endswith(_SUFFIXES)
        ]
    return sorted(found)


def _leads_back(folder: str, name: str, seen: set[str]) -> bool:
    link = os.path.join(folder, name)
    return os.path.islink(link) and os.path.realpath(link) in seen
