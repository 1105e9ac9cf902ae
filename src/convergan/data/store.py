"""The store: every image decoded once, kept in a cache folder."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from convergan.data.image_set import SkippedImage
from convergan.data.store_writer import PIXELS, Progress, Written, write_pixels
from convergan.data.undecoded import Source
from convergan.errors import UserError
from convergan.files import usual_mode, write_text
from convergan.recipes.settings import DataSettings

# Raise it when images are decoded or laid out differently: older stores are then left alone.
_VERSION = 1

_INDEX = "index.json"

_SECONDS_PER_DAY = 86_400


def open_store(
    source: Source, settings: DataSettings, cache: Path, progress: Progress | None = None
) -> tuple[np.ndarray, Written]:
    """The decoded images of a source, which are decoded first where no whole store has them.

    A store lies in `cache/<key>`; the key stands for the image files (path, size, time of change) and the
    settings that decide how they are decoded. A file changed without change of its size and time goes
    unnoticed.

    Returns:
        The training images, then the test images: uint8 [n, height, width, channels], a read-only memory
        map; and what is known of them.

    Raises:
        UserError: the cache cannot be written, or what `store_writer.write_pixels` raises.
    """
    key = _key(source, settings)
    folder = cache / key
    store = _read(folder)
    if store is None:
        try:
            _build(folder, source, settings, progress)
        except OSError as error:
            raise UserError(
                f"data.cache: expected a folder to write decoded images to, got {cache}"
                f" ({error.strerror or error})"
            ) from error
        store = _read(folder)
    if store is None:
        raise UserError(f"data.cache: expected to read decoded images back, got none in {folder}")
    return store


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


def _read(folder: Path) -> tuple[np.ndarray, Written] | None:
    """The store in a folder; None where there is none, or where it is not whole."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        index["skipped"] = tuple(SkippedImage(**each) for each in index["skipped"])
        written = Written(**index)
        pixels = folder / PIXELS
        if pixels.stat().st_size != math.prod(written.shape):
            return None
        return np.memmap(pixels, dtype=np.uint8, mode="r", shape=tuple(written.shape)), written
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(folder: Path, source: Source, settings: DataSettings, progress: Progress | None) -> None:
    """Builds a store beside its place and renames it as a whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    _remove_broken(folder)
    building = _beside(folder)
    try:
        written = write_pixels(building, source, settings, progress)
        write_text(building / _INDEX, json.dumps(asdict(written)))
        _put_in_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put_in_place(building: Path, folder: Path) -> None:
    # mkdtemp makes folders for their owner alone; a cache may be shared, if the user's umask lets it be.
    building.chmod(usual_mode(0o777))
    try:
        building.rename(folder)
    except OSError:
        # Another process was faster: its store stays.
        if _read(folder) is None:
            raise


def _remove_broken(folder: Path) -> None:
    """Clears away a store that is not whole, before the work: at its end, one in its place is another's."""
    if not folder.exists() or _read(folder) is not None:
        return
    aside = _beside(folder)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(aside / "broken")
    shutil.rmtree(aside, ignore_errors=True)


def _beside(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{folder.name}.building-", dir=folder.parent))


def _remove_abandoned(folder: Path) -> None:
    """Clears away what a killed process left of this store: nothing was written to it for a day."""
    for left in folder.parent.glob(f"{folder.name}.building-*"):
        with contextlib.suppress(OSError):
            newest = max(each.stat().st_mtime for each in [left, *left.iterdir()])
            if time.time() - newest > _SECONDS_PER_DAY:
                shutil.rmtree(left, ignore_errors=True)
