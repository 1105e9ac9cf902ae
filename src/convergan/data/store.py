"""Store of decoded images in a cache folder: every image is decoded once."""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convergan.data.encoded_source import Source
from convergan.data.image_set import Images
from convergan.data.store_index import (
    PIXELS,
    StoreContent,
    checked_digests,
    read_index,
    write_index,
)
from convergan.data.store_writer import write_pixels
from convergan.data.stored_images import DamagedStore, StoredImages, read_whole
from convergan.errors import UserError, system_problem
from convergan.files import aside_folder, remove_leftovers
from convergan.progress_bar import Progress
from convergan.recipes.settings import DataSettings

# Raise it when images are decoded or laid out differently: older stores are then left alone.
_VERSION = 2

_UNTOUCHED_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class Store:
    """The decoded images of a source."""

    images: Images
    """The training images, then the test images: uint8 [n, height, width, channels]."""

    content: StoreContent

    notes: tuple[str, ...]
    """A sentence on a store that was damaged, if there was one."""


def open_store(
    source: Source,
    settings: DataSettings,
    cache: Path,
    progress: Progress | None = None,
    before_decoding: Callable[[Source], None] | None = None,
) -> Store:
    """Open the store of a source's decoded images; decode them first if there is no complete store.

    A store lies in `cache/<key>`; the key stands for the image files (path, size, time of change) and the
    settings that decide how they are decoded. A file changed without change of its size and time goes
    unnoticed.

    Pixels are checked, which takes half a second for each GB. Images of up to `settings.resident_bytes` are
    read into memory and checked all at once; more stay on the disk, and each image is checked when it is
    first read. A damaged store is decoded again. Leftovers of killed processes are removed from the cache.

    Raises:
        UserError: the cache cannot be written, or an error of `store_writer.write_pixels`.
    """
    folder = cache / _key(source, settings)
    remove_leftovers(cache)
    _remove_former_leftovers(cache)
    notes: tuple[str, ...] = ()
    try:
        store = _read(folder, source, settings)
    except DamagedStore as damage:
        notes = (f"The store of decoded images was damaged and has been made again ({damage}).",)
        store = None
    if store is None:
        if before_decoding is not None:
            before_decoding(source)
        with _writing(cache):
            _build(folder, source, settings, progress)
        try:
            store = _read(folder, source, settings)
        except DamagedStore as damage:
            raise UserError(f"data.cache: {damage}, just after they were written") from damage
    if store is None:
        raise UserError(f"data.cache: expected to read decoded images back, got none in {folder}")
    images, content = store
    return Store(images, content, notes)


def _remove_former_leftovers(cache: Path) -> None:
    """Remove unfinished stores of convergan 0.1.0 whose files have not changed for some time."""
    for leftover in cache.glob("*.building-*"):
        try:
            modified = max(path.stat().st_mtime for path in (leftover, *leftover.iterdir()))
        except OSError:
            # It has just been renamed or removed.
            continue
        if time.time() - modified > _UNTOUCHED_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    """Turn a system error about the cache into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"data.cache: expected a folder to write decoded images to, got {cache}"
            f" ({system_problem(error)})"
        ) from error


def _key(source: Source, settings: DataSettings) -> str:
    parts = [source.train] if source.test is None else [source.train, source.test]
    facts = [_VERSION, settings.size_px, settings.channels, settings.skip_unreadable]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for part in parts:
        digest.update(f"\0{len(part.names)}".encode())
        for file in part.files:
            # The whole path: files of equal names and sizes, unpacked with equal times, are not the same.
            stamp = f"\0{os.path.abspath(file)}\0{_size_and_time(file)}"
            digest.update(stamp.encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _size_and_time(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError:
        # A link to nowhere, say, which decoding then names. Once it leads somewhere, the key changes.
        return "unreadable"
    return f"{stat.st_size}\0{stat.st_mtime_ns}"


def _read(
    folder: Path, source: Source, settings: DataSettings
) -> tuple[Images, StoreContent] | None:
    """Read the store in a folder; None where there is none.

    Raises:
        DamagedStore: its content is not what was written.
    """
    try:
        content = read_index(folder, source)
        if content is None:
            return None
        pixels = folder / PIXELS
        size_bytes = math.prod(content.shape)
        if pixels.stat().st_size != size_bytes:
            raise DamagedStore(f"{pixels}: expected {size_bytes:,} bytes, got another number")
        if size_bytes <= settings.resident_bytes:
            return read_whole(pixels, content.shape, content.pixels_sha256), content
        return StoredImages(pixels, checked_digests(folder, content), content.shape), content
    except OSError as error:
        raise DamagedStore(
            f"{folder}: expected to read a store, got {system_problem(error)}"
        ) from error
    except MemoryError:
        raise UserError(
            "data.resident-mb: expected images that fit in memory, got too many;"
            " --data.resident-mb 0 leaves them on the disk"
        ) from None


def _build(folder: Path, source: Source, settings: DataSettings, progress: Progress | None) -> None:
    """Build a store in a temporary folder and rename it as a whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with aside_folder(folder.parent) as temporary:
        # Before the work: a store that is there at its end is another process's.
        if _is_damaged(folder, source, settings):
            folder.rename(temporary / "damaged")
        building = temporary / folder.name
        building.mkdir()
        write_index(building, write_pixels(building, folder.parent, source, settings, progress))
        try:
            building.rename(folder)
        except OSError:
            # Another process was faster: its store stays.
            if _is_damaged(folder, source, settings) or not folder.exists():
                raise


def _is_damaged(folder: Path, source: Source, settings: DataSettings) -> bool:
    try:
        _read(folder, source, settings)
    except DamagedStore:
        return True
    return False
