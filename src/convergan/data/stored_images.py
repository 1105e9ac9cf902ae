"""Images in a store's files, read when they are indexed, each checked when it is first read."""

import hashlib
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convergan.errors import UserError, system_problem

DIGEST_BYTES = 4
"""Length of an image's digest: the first bytes of the SHA-256 of its pixels."""

_BLOCK_BYTES = 2**24


class DamagedStore(UserError):
    """Error: a store's content is not what was written; the message tells the difference."""


def image_digest(pixels: bytes) -> bytes:
    """The digest that shows damage to an image's pixels: `DIGEST_BYTES` bytes."""
    return hashlib.sha256(pixels).digest()[:DIGEST_BYTES]


class StoredImages:
    """Images that stay on the disk and can be indexed as an array: by a number, a slice, or integers [k].

    An image is checked against its digest the first time that it is read: that takes half a second for each
    GB (SHA-256 on one core), spread over the first epoch. Reading all of it at the start would keep a run on
    100 GB waiting for minutes. Files are read by calls, not mapped: one that is truncated meanwhile, or a
    disk that fails, is an error then, where a map would kill the process.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, pixels: Path, digests: Path, shape: tuple[int, int, int, int]) -> None:
        """Args:
            pixels: a file of the images, uint8 in C order, without a header.
            digests: a file of DIGEST_BYTES for each image, as `image_digest` returns them.
            shape: [n, height, width, channels].

        Raises:
            OSError: a file cannot be opened.
        """
        self._file, self._digests = _File(pixels), _File(digests)
        # A bit for each image: nothing else in memory grows with their number.
        self._checked = bytearray(-(-shape[0] // 8))
        self._image_shape = shape[1:]
        self._rows = range(shape[0])

    def part(self, start: int, stop: int) -> "StoredImages":
        """The images from one position to another, without reading them."""
        part = object.__new__(StoredImages)
        part.__dict__ = {**self.__dict__, "_rows": self._rows[start:stop]}
        return part

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape [n, height, width, channels]."""
        return (len(self), *self._image_shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes of all pixels."""
        return len(self) * int(np.prod(self._image_shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """One image, uint8 [height, width, channels], or several, [k, height, width, channels].

        Raises:
            IndexError: there is no such image.
            DamagedStore: an image is not what was written.
        """
        if isinstance(index, slice):
            return self._read(self._rows[index])
        if np.ndim(index) == 0:
            return self._read([self._rows[index]])[0]
        return self._read(
            [self._rows[position] for position in np.asarray(index, dtype=np.int64).tolist()]
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                "copy: expected True or None, as the images are on the disk, got False"
            )
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, rows: Any) -> np.ndarray:
        images = np.empty((len(rows), *self._image_shape), dtype=np.uint8)
        size = images[:1].nbytes
        for image, row in zip(images, rows, strict=True):
            pixels = self._file.read(row * size, size)
            if not self._checked[row // 8] & 1 << row % 8:
                if image_digest(pixels) != self._digests.read(row * DIGEST_BYTES, DIGEST_BYTES):
                    raise self._damaged(row)
                self._checked[row // 8] |= 1 << row % 8
            image[...] = np.frombuffer(pixels, dtype=np.uint8).reshape(self._image_shape)
        return images

    def _damaged(self, row: int) -> DamagedStore:
        path = self._file.path
        try:
            # All that it costs is decoding again, which now comes at the next start.
            path.unlink()
            remedy = "the next start decodes the images again"
        except OSError:
            remedy = f"remove {path.parent} to decode the images again"
        return DamagedStore(
            f"{path}: expected the pixels that were written, got others for image {row}; {remedy}"
        )


def read_whole(path: Path, shape: tuple[int, int, int, int], sha256: str) -> np.ndarray:
    """Read all pixels of a store, checked, as uint8 of this shape; takes half a second for each GB.

    Raises:
        DamagedStore: the pixels do not match the checksum.
        OSError: the file cannot be read.
    """
    pixels = np.empty(shape, dtype=np.uint8)
    unread = pixels.reshape(-1).data
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(unread[:_BLOCK_BYTES]):
            digest.update(unread[:count])
            unread = unread[count:]
    if len(unread) or digest.hexdigest() != sha256:
        raise DamagedStore(f"{path}: expected the pixels that were written, got others")
    return pixels


class _File:
    """A file that several threads and processes may read from at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._handle)

    def read(self, start: int, count: int) -> bytes:
        """Read `count` bytes from position `start` on.

        Raises:
            DamagedStore: the file ends before, or cannot be read.
        """
        try:
            content = self._read(start, count)
        except OSError as error:
            raise DamagedStore(
                f"{self.path}: expected to read it, got {system_problem(error)}"
            ) from error
        if len(content) < count:
            raise DamagedStore(f"{self.path}: expected {start + count:,} bytes or more, got fewer")
        return content

    def _read(self, start: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, count, start)
        with self._lock:
            os.lseek(self._handle, start, os.SEEK_SET)
            return os.read(self._handle, count)
