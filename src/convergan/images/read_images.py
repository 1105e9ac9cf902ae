"""Image files: finding them, and reading them without a store."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from convergan.errors import UserError
from convergan.images.decode import SUFFIXES, Unreadable, decode_in_order
from convergan.images.regular_files import kind_of
from convergan.images.skipped_files import count_skipped
from convergan.images.utf8 import require_utf8
from convergan.images.walk import files_below

_SUFFIXES = tuple(SUFFIXES)


@dataclass(frozen=True)
class SkippedImage:
    """An image that could not be read and was left out."""

    name: str
    reason: str


class FolderFiles(NamedTuple):
    """Names of the files below a folder, relative to it, sorted."""

    images: list[str]
    other_files: list[str]
    """Files that are no images by their suffix."""


def find_images(path: Path) -> list[Path]:
    """The image files in a folder and in the folders below it, sorted; or `[path]`, if it is a file.

    Files count as images by their suffix (`decode.SUFFIXES`); others are ignored, and so are files and
    folders whose names start with a dot.

    Raises:
        UserError: `path` is absent, no file and no folder, or a folder without images; a folder below it
            cannot be read; a file's name is not UTF-8.
    """
    return [Path(file) for file in find_image_files(path)]


def find_image_files(path: Path, expected: str = "an image or a folder of images") -> list[str]:
    """The result of `find_images` as text, which saves half a second for 60,000 files.

    Args:
        path: as for `find_images`.
        expected: the kinds of files that the caller takes, for the error.
    """
    is_folder = os.path.isdir(path)
    # A path with an image's suffix may be a pipe or a broken link, which reading refuses or skips.
    if os.path.isfile(path) or (not is_folder and _is_there(path)):
        require_utf8([str(path)], "a file")
        return [str(path)]
    if not is_folder:
        raise UserError(f"{path}: expected {expected}, got {kind_of(path)}")
    files = find_in_folder(path)
    if not files.images:
        skipped = count_skipped(files.other_files)
        raise UserError(
            f"{path}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder with none"
            f"{f' ({skipped})' if skipped else ''}"
        )
    folder = "" if path == Path() else os.path.join(path, "")
    return [folder + name for name in files.images]


def _is_there(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES) and os.path.lexists(path)


def find_in_folder(path: Path) -> FolderFiles:
    """The images of a folder, perhaps none, as in `find_images`, and the other files.

    Raises:
        UserError: a folder that cannot be read; an image whose name is not UTF-8.
    """
    files = FolderFiles([], [])
    for name in files_below(path):
        (files.images if name.lower().endswith(_SUFFIXES) else files.other_files).append(name)
    require_utf8(files.images, "a file")
    return files


def skipped_files(path: Path) -> list[str]:
    """The files of a folder, and of those below it, that are no images; none if `path` is a file."""
    return find_in_folder(path).other_files if path.is_dir() else []


def read_images(
    paths: Sequence[str | Path],
    *,
    size: tuple[int, int],
    channels: Literal[1, 3],
    resize: bool,
    batch_size: int = 256,
    unreadable: Callable[[SkippedImage], None] | None = None,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Decode image files as `open_data_set` does, a batch at a time, in order.

    Args:
        paths: image files, as `find_images` or `find_image_files` returns them.
        size: height and width in pixels.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted.
        resize: scale images of other sizes and crop them at the centre; otherwise they are errors.
        batch_size: largest number of images in a batch.
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
        for image, (name, result) in zip(images, batch, strict=True):
            image[...] = _require_image(name, result, size)
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
