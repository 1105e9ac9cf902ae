"""Decoding of a source into one file of pixels, image after image."""

import hashlib
import os
import shutil
from itertools import chain
from pathlib import Path

import numpy as np

from convergan.data.encoded_source import Source
from convergan.data.image_sizes import sensible_size_px
from convergan.data.store_index import DIGESTS, PIXELS, StoreContent
from convergan.data.stored_images import image_digest
from convergan.errors import UserError
from convergan.images.decode import Unreadable, decode_in_order
from convergan.images.read_images import SkippedImage
from convergan.progress_bar import Progress
from convergan.recipes.settings import DataSettings
from convergan.units import bytes_in_words

_PROGRESS_EVERY = 256


def write_pixels(
    folder: Path, cache: Path, source: Source, settings: DataSettings, progress: Progress | None
) -> StoreContent:
    """Decode the training images, then the test images, into `folder/PIXELS`, with few in memory.

    The digests of the images go to `folder/DIGESTS`.

    Raises:
        UserError: an unreadable image, unless those are skipped; images of different sizes; no readable
            image; too little space in `cache`. OSError where the folder cannot be written.
    """
    parts = [source.train] if source.test is None else [source.train, source.test]
    rows = sum(len(part.names) for part in parts)
    size = None if settings.size_px is None else (settings.size_px, settings.size_px)
    results = decode_in_order(
        chain.from_iterable(part.encoded() for part in parts), channels=settings.channels, size=size
    )
    names = chain.from_iterable(part.names for part in parts)
    skipped: dict[int, SkippedImage] = {}
    first: tuple[str, np.ndarray] | None = None
    with _PixelFile(folder / PIXELS) as file:
        for row, (name, result) in enumerate(zip(names, results, strict=True)):
            if isinstance(result, Unreadable):
                if not settings.skip_unreadable:
                    raise UserError(
                        f"{source.place}/{name}: expected a readable image, got {result};"
                        " --data.skip-unreadable skips such images"
                    )
                skipped[row] = SkippedImage(name, str(result))
                continue
            if first is None:
                first = (name, result)
                _require_space(cache, rows * result.size)
            elif result.shape[:2] != first[1].shape[:2]:
                raise _other_size(f"{source.place}/{name}", result, *first)
            file.add(result)
            if progress is not None and row % _PROGRESS_EVERY == 0:
                progress(row, rows)
    if progress is not None:
        progress(rows, rows)
    for start, part in zip((0, len(source.train.names)), parts, strict=False):
        if all(row in skipped for row in range(start, start + len(part.names))):
            kind = "test" if start else "training"
            raise UserError(f"{source.place}: expected readable {kind} images, got none")
    height, width = first[1].shape[:2] if first else (0, 0)
    (folder / DIGESTS).write_bytes(file.digests)
    return StoreContent(
        shape=(rows - len(skipped), height, width, 1 if file.channels == 1 else 3),
        rows=rows,
        skipped=tuple(skipped.values()),
        skipped_rows=tuple(skipped),
        pixels_sha256=file.sha256,
        digests_sha256=hashlib.sha256(file.digests).hexdigest(),
    )


class _PixelFile:
    """A file to which images are added: grey ones, until the first colour image turns all into RGB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.channels = 1
        self._start()

    def _start(self) -> None:
        # Written, not mapped: a full disk is then an error, where a map would kill the process.
        self._file = self._path.open("wb", buffering=2**20)
        self._digest = hashlib.sha256()
        self.digests = bytearray()
        """Digests of all images, one after the other."""

    def __enter__(self) -> "_PixelFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    @property
    def sha256(self) -> str:
        """SHA-256, in hexadecimal, of all pixels that have been added."""
        return self._digest.hexdigest()

    def add(self, image: np.ndarray) -> None:
        """Add an image, uint8 [height, width, channels]."""
        if image.shape[2] > self.channels:
            self._turn_into_colour(image.shape[0] * image.shape[1])
        elif image.shape[2] < self.channels:
            image = np.repeat(image, 3)
        self._write(image.tobytes())

    def _write(self, pixels: bytes) -> None:
        """Write the pixels of one image."""
        self._file.write(pixels)
        self._digest.update(pixels)
        self.digests += image_digest(pixels)

    def _turn_into_colour(self, image_bytes: int) -> None:
        """Rewrite the file in RGB; a grey image in it has `image_bytes` bytes."""
        self.channels = 3
        self._file.close()
        grey = self._path.with_suffix(".grey")
        self._path.rename(grey)
        self._start()
        with grey.open("rb") as old:
            while image := old.read(image_bytes):
                self._write(np.repeat(np.frombuffer(image, dtype=np.uint8), 3).tobytes())
        grey.unlink()


def _require_space(cache: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(cache).free
    if needed_bytes > free_bytes:
        raise UserError(
            f"data.cache: expected {bytes_in_words(needed_bytes)} free for decoded images in"
            f" {cache}, got {bytes_in_words(free_bytes)}; --data.cache takes another folder"
        )


def _other_size(name: str, image: np.ndarray, first_name: str, first: np.ndarray) -> UserError:
    (height, width), (first_height, first_width) = image.shape[:2], first.shape[:2]
    size_px = sensible_size_px(min(height, first_height), min(width, first_width))
    return UserError(
        f"{name}: expected {first_width}x{first_height} pixels (width x height) as {first_name},"
        f" got {width}x{height}; --data.size-px {size_px} resizes all"
    )
