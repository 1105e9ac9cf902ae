"""Table of the images' labels, metadata.csv."""

import codecs
import contextlib
import csv
import io
import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from convergan.data.folder_names import TEST_FOLDERS, TRAIN, meaning
from convergan.errors import UserError, first_of, quoted, reading, shortened
from convergan.images.decode import SUFFIXES
from convergan.images.regular_files import open_regular

METADATA = "metadata.csv"

_NAME_COLUMNS = (
    "file_name",
    "filename",
    "file",
    "image",
    "path",
    "file_path",
    "filepath",
    "image_name",
    "image_path",
)
_SEPARATORS = (",", ";", "\t")
_HEADER_BYTES = 4096


class MetadataRow(NamedTuple):
    """The label and the split of an image in a table."""

    label: str | None
    split: str | None
    """`train`, `test` or `val`; None where the table has none."""


class _Columns(NamedTuple):
    """Positions of the columns in a row, and the number of its fields."""

    name: int
    label: int
    split: int | None
    fields: int
    """Number of fields in each row."""


def read_metadata(folder: Path, file_name: str, names: Sequence[str]) -> dict[str, MetadataRow]:
    r"""Read the table of a folder's images, by image.

    Its columns, in any order and in any case: `file_name` (or `filename`, `file`, `image`,
    `path`), relative to the folder, with `/` or `\`; `label`, empty where unknown; and perhaps `split`:
    train, test, or val, valid or validation. Other columns are ignored. Columns are separated by commas,
    semicolons or tabulators, in UTF-8, or in UTF-16 with its byte order mark, as spreadsheets write them.

    Args:
        folder: folder of the images.
        file_name: name of the table.
        names: the folder's images, relative to it, as in `find_images`.

    Raises:
        UserError: no such columns; a row of another length than the header; a file that is absent, no image,
            or named twice; another split.
    """
    file = folder / file_name
    image_names = _Names(names)
    rows: dict[str, MetadataRow] = {}
    with reading(file, "comma-separated values in UTF-8"):
        with os.fdopen(open_regular(file), "rb") as stream:
            text = _decode(stream.read())
        header, separator = _header(text)
        columns = _columns(file, header)
        for line, row in _rows(text, separator):
            location = f"{file} line {line}"
            _require_length(location, row, columns.fields)
            name = _image(location, folder, row[columns.name], image_names)
            if name in rows:
                raise UserError(f"{location}: expected each file once, got {quoted(name)} again")
            split = None if columns.split is None else _split(location, row[columns.split])
            rows[name] = MetadataRow(row[columns.label].strip() or None, split)
    return rows


def is_table_of_labels(file: Path) -> bool:
    """True if a file begins with a header that `read_metadata` accepts."""
    try:
        with os.fdopen(open_regular(file), "rb") as stream:
            # The last character may be cut in two.
            start = _decode(stream.read(_HEADER_BYTES), errors="ignore")
        _columns(file, _header(start)[0])
    except (OSError, ValueError, csv.Error, UserError):
        return False
    return True


def _decode(content: bytes, errors: str = "strict") -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors)
    return content.decode(errors=errors)


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Pairs (line, fields) of the rows after the header, without rows whose fields are all empty."""
    reader = _reader(text, separator)
    next(reader, None)
    for row in reader:
        if any(field.strip() for field in row):
            yield reader.line_num, row


def _header(text: str) -> tuple[list[str], str]:
    """The names of the columns, and their separator: the one that gives the most columns."""
    candidates: list[tuple[list[str], str]] = []
    for separator in _SEPARATORS:
        # Quoted names that are separated otherwise are an error.
        with contextlib.suppress(csv.Error):
            candidates.append((next(_reader(text, separator), []), separator))
    return max(candidates, key=lambda candidate: len(candidate[0]), default=([], _SEPARATORS[0]))


def _reader(text: str, separator: str):  # type: ignore[no-untyped-def]
    # Strict: a quotation mark that is never closed would swallow the rest of the file.
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )


def _columns(file: Path, header: list[str]) -> _Columns:
    plain = ["_".join(name.casefold().replace("-", " ").split()) for name in header]
    for name in plain:
        if name and plain.count(name) > 1:
            raise UserError(f"{file}: expected each column once, got {shortened(name)} again")
    name_column = next((name for name in _NAME_COLUMNS if name in plain), None)
    if name_column is None or "label" not in plain:
        actual = first_of(header, 10) if header else "an empty file"
        raise UserError(f"{file}: expected the columns file_name and label, got {actual}")
    split = plain.index("split") if "split" in plain else None
    return _Columns(plain.index(name_column), plain.index("label"), split, len(plain))


def _require_length(location: str, row: list[str], count: int) -> None:
    if len(row) != count:
        actual = "more" if len(row) > count else f"{len(row)} of {count}"
        raise UserError(f"{location}: expected as many fields as the header has, got {actual}")


class _Names:
    """The names of the images, by every spelling that a table may use."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = dict.fromkeys(names)

    def find(self, text: str) -> str | None:
        """The name of the image that a table refers to by `text`; None where there is none."""
        for slashes in (text, text.replace("\\", "/")):
            name = PurePosixPath(slashes).as_posix()
            if name in self._names:
                return name
            if not name.isascii() and (composed := self._composed.get(_nfc(name))):
                return composed
        return None

    @cached_property
    def _composed(self) -> dict[str, str]:
        """Image names by their composed form (NFC): some systems write an accent as a separate character."""
        return {_nfc(name): name for name in self._names if not name.isascii()}


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _image(location: str, folder: Path, text: str, image_names: _Names) -> str:
    text = text.strip()
    name = image_names.find(text)
    if name is not None:
        return name
    actual = quoted(text)
    if not os.path.isfile(folder / text):
        raise UserError(
            f"{location}: expected an image in {folder}, got {actual}, which is not there"
        )
    raise UserError(
        f"{location}: expected a file in {folder} named {', '.join(sorted(SUFFIXES))}, got {actual}"
    )


def _split(location: str, text: str) -> str | None:
    if not text.strip():
        return None
    split = meaning(text)
    if split == TRAIN or split == "test":
        return split
    if split in TEST_FOLDERS:
        return "val"
    raise UserError(
        f"{location}: expected the split train, test or val, got {quoted(text.strip())}"
    )
