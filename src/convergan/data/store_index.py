"""The index of a store of pixels, in JSON that is checked when it is read."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from convergan.data.encoded_source import Source
from convergan.data.stored_images import DamagedStore
from convergan.files import write_text
from convergan.images.read_images import SkippedImage
from convergan.json_files import json_line

PIXELS = "pixels.u8"
"""Name of a store's file of pixels: uint8 [n, height, width, channels] in C order, without a header."""

DIGESTS = "digests"
"""Name of a store's file of digests: `stored_images.DIGEST_BYTES` for each image."""

_INDEX = "index.json"

_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Size = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class StoreContent:
    """The content of a store: its shape, the skipped images and the checksums."""

    shape: tuple[_Size, _Size, _Size, Literal[1, 3]]
    rows: _Size
    """Number of images in the source, the skipped ones included."""

    skipped: tuple[SkippedImage, ...]
    skipped_rows: tuple[int, ...]
    """Positions of the skipped images in the source, ascending."""

    pixels_sha256: _Sha256
    digests_sha256: _Sha256


@dataclass(frozen=True)
class _Index:
    written: StoreContent  # words: a key of the file
    sha256: str
    """Checksum of `written`: a changed digit would give images wrong labels."""


_INDEX_TYPE = TypeAdapter(_Index)


def write_index(folder: Path, content: StoreContent) -> None:
    """Write a store's index, whole or not at all."""
    index = _Index(content, _checksum(content))
    write_text(folder / _INDEX, json_line(index))


def read_index(folder: Path, source: Source) -> StoreContent | None:
    """Read a store's index; None where there is no store.

    Args:
        folder: the store.
        source: source that the images were decoded from.

    Raises:
        DamagedStore: it is no index, or that of another source.
        OSError: it cannot be read.
    """
    if not folder.exists():
        return None
    path = folder / _INDEX
    try:
        index = _INDEX_TYPE.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DamagedStore(f"{path}: expected an index, got none") from None
    except ValidationError:
        raise DamagedStore(f"{path}: expected the index of a store, got another file") from None
    content = index.written
    if index.sha256 != _checksum(content) or not _fits(content, source):
        raise DamagedStore(f"{path}: expected the index that was written, got another")
    return content


def checked_digests(folder: Path, content: StoreContent) -> Path:
    """The path of the file of digests, after a check of its checksum.

    Raises:
        DamagedStore: the digests are not those that were written.
        OSError: the file cannot be read.
    """
    path = folder / DIGESTS
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != content.digests_sha256:
            raise DamagedStore(f"{path}: expected the digests that were written, got others")
    return path


def _fits(content: StoreContent, source: Source) -> bool:
    """True if the counts agree with each other and with the source."""
    parts = [source.train] if source.test is None else [source.train, source.test]
    rows = list(content.skipped_rows)
    return (
        content.rows == sum(len(part.names) for part in parts)
        and rows == sorted(set(rows))
        and all(0 <= row < content.rows for row in rows)
        and len(rows) == len(content.skipped)
        and content.shape[0] == content.rows - len(rows)
    )


def _checksum(content: StoreContent) -> str:
    return hashlib.sha256(json.dumps(asdict(content)).encode()).hexdigest()
