"""Images and labels in parquet files, in the format of the Hugging Face hub."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convergan.data.encoded_source import Label, Part, Source, class_numbers
from convergan.data.names import RowNames
from convergan.data.parquet_labels import LabelColumn, agreed_labels, declared_names
from convergan.errors import UserError, first_of, quoted, reading, shortened
from convergan.images.decode import Encoded, Unreadable
from convergan.images.regular_files import require_regular
from convergan.images.utf8 import require_utf8
from convergan.images.walk import files_below

SPLITS = ("train", "test", "validation")
"""Names of the splits that are used."""

_EXPECTED = "a parquet file"

# Rows read at a time: of encoded images, and of labels.
_IMAGES, _LABELS = 256, 65_536

# A word of a file's or a folder's name: `train-00000`, `partial-train`, `testing`, `my_val`. SVHN has a
# split `extra`, which is not used.
_SPLIT = re.compile(r"(?<![a-z])(train|test|val|extra(?![a-z]))")


@dataclass(frozen=True)
class ParquetTable:
    """Rows of encoded images and labels."""

    name: str
    rows: int
    columns: Sequence[str]
    features: dict[str, Any]
    """The hub library's description of columns: {"_type": "ClassLabel", "names": [...]} and the like."""

    files: Sequence[Path]
    """The files that hold the rows."""

    image_root: Path
    """The folder in which images given as paths must lie, absolute."""

    batches: Callable[[str, int], Iterator[list[Any]]]
    """Function that reads a column by its name, a number of rows at a time; UserError where it is damaged."""

    @property
    def file(self) -> str:
        """Name of the file that holds the rows."""
        return self.name.removesuffix(" row")


def find_parquet(path: Path) -> dict[str, list[Path]]:
    """The parquet files below a folder, sorted, by their splits: `train`, `test` and `validation`.

    The split is a word that starts with train, test or val, in the file's name (`train-00000.parquet`), else
    in the name of the closest folder with such a word (`default/partial-train/0000.parquet`). Without any
    such word, all are training images. Hidden files are ignored, as in `walk.files_below`.

    Raises:
        UserError: some files name their splits and another does not: it may hold test images; a folder that
            cannot be read.
    """
    names = sorted(name for name in map(Path, files_below(path)) if name.suffix == ".parquet")
    splits = files_by_split(path, names)
    return {split: [path / file for file in files] for split, files in splits.items()}


def files_by_split(place: str | Path, names: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by their splits, as in `find_parquet`.

    Args:
        place: folder or data set that the files are named relative to.
        names: the files, sorted.

    Raises:
        UserError: some files name their splits and another does not.
    """
    splits = {name: split for name in names if (split := split_of(name))}
    if not splits:
        splits = dict.fromkeys(names, "train")
    for name in names:
        if name not in splits:
            raise UserError(
                f"{place}/{name}: expected train, test or val in the name of the file or its folder,"
                f" as in {next(iter(splits))}, got none"
            )
    return {split: [name for name in names if split.startswith(splits[name])] for split in SPLITS}


def split_of(name: Path) -> str | None:
    """The split in a file's path: train, test, val or extra; None where no part of the path names one, or a
    part names several.
    """
    for part in reversed(name.parts):
        splits = set(_SPLIT.findall(part.lower()))
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def open_parquet(path: Path, files: dict[str, list[Path]], *, place: str | None = None) -> Source:
    """Open parquet files with a column of images and perhaps one of labels.

    The image column is the one that the hub's library declares as images, else `image` or `img`. The label
    column is `label`, else the only one declared as classes. Empty and negative labels mean unlabelled. The
    test set is the split `test`, or `validation` if there is no `test` or it has no labels (as in ImageNet).

    Where the columns of training images name their classes, these are the classes, in the order of the first
    such table and then of the others. Labels count by name: a table may list the same names in another
    order, or hold text. Otherwise the classes are the sorted distinct labels of the training images.

    Args:
        path: the folder that the files are named relative to.
        files: files of each split, as `find_parquet` returns them.
        place: the source's name, for messages and manifests. None: the folder.

    Raises:
        UserError: no training images; a broken file or one whose name is not UTF-8; no image column; several
            columns that may be the labels; labels that are neither integers nor text; tables whose labels do
            not agree (see `parquet_labels.agreed_labels`); or a label outside the classes.
    """
    if not files["train"]:
        raise UserError(
            f"{path}: expected parquet files named train-*.parquet, or in a folder train,"
            " got none for training"
        )
    place = place or str(path)
    splits = {
        split: [_table(path, file) for file in split_files] for split, split_files in files.items()
    }
    train_tables = splits["train"]
    train = [_labels(place, table) for table in train_tables]
    test_tables: list[ParquetTable] = []
    test: list[LabelColumn] = []
    for split in ("test", "validation"):
        labels = [_labels(place, table) for table in splits[split]]
        if any(column.is_labelled for column in labels):
            test_tables, test = splits[split], labels
            break
    classes, agreed = agreed_labels(train, test)
    return Source(
        place,
        _part(place, train_tables, agreed[: len(train)], classes),
        _part(place, test_tables, agreed[len(train) :], classes) if test else None,
        tuple(map(str, classes)),
    )


def parquet_images(path: Path, files: list[Path]) -> Part:
    """The images of parquet files without their labels, which are not read.

    Args:
        path: the folder that the files are named relative to.
        files: files to read.

    Raises:
        UserError: no image column, or a broken file.
    """
    tables = [_table(path, file) for file in files]
    return _part(str(path), tables, [[None] * table.rows for table in tables], [])


def _table(folder: Path, file: Path) -> ParquetTable:
    from pyarrow.parquet import ParquetFile

    def batches(column: str, rows: int) -> Iterator[list[Any]]:
        with reading(file, _EXPECTED):
            # Few writers add checksums; where there are some, they reveal damage.
            checked = ParquetFile(file, page_checksum_verification=True)
            for batch in checked.iter_batches(rows, columns=[column]):
                yield batch.column(0).to_pylist()

    require_utf8([str(file)], "a file")
    with reading(file, _EXPECTED):
        # Opening a pipe would wait.
        require_regular(file)
        opened = ParquetFile(file)
        schema = opened.schema_arrow
        columns, rows = schema.names, opened.metadata.num_rows
        declaration = (schema.metadata or {}).get(b"huggingface", b"{}")
    with reading(file, "JSON in the metadata of Hugging Face's library"):
        features = _declared(json.loads(declaration))
    return ParquetTable(
        name=f"{file.relative_to(folder).as_posix()} row",
        rows=rows,
        columns=columns,
        features=features,
        files=[file],
        image_root=Path(os.path.abspath(file.parent)),
        batches=batches,
    )


def _declared(content: Any) -> dict[str, Any]:
    """The features in the hub library's metadata of a file: {"info": {"features": {...}}}."""
    for level in ("info", "features"):
        content = _mapping(content, "top" if level == "info" else "info").get(level)
    return _mapping(content, "features")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise ValueError(f"{type(value).__name__} as {name}")
    return value or {}


def _part(
    place: str, tables: list[ParquetTable], labels: list[list[Label]], classes: Sequence[str | int]
) -> Part:
    names = RowNames([(table.name, table.rows) for table in tables])
    columns = [_image_column(place, table) for table in tables]

    def encoded() -> Iterator[Encoded]:
        for table, column in zip(tables, columns, strict=True):
            for cells in table.batches(column, _IMAGES):
                for cell in cells:
                    yield _encoded(cell, table.image_root)

    all_labels = [label for table_labels in labels for label in table_labels]
    numbers = class_numbers(all_labels, classes, names=names, place=place)
    return Part(names, numbers, encoded, [file for table in tables for file in table.files])


def _encoded(cell: Any, folder: Path) -> Encoded:
    # The hub's images are bytes, or a path to a file beside them.
    if isinstance(cell, dict):
        path = cell.get("path")
        cell = cell.get("bytes")
        if not cell and path and isinstance(path, str):
            return _path_within(folder, path)
    return cell if isinstance(cell, bytes) else b""


def _path_within(folder: Path, path: str) -> Encoded:
    """The file at a path in a downloaded table; paths that lead out of `folder` are refused."""
    # Links are not followed: files in the hub's cache are links to other folders.
    file = Path(os.path.normpath(folder / path))
    if not file.is_relative_to(folder):
        return Unreadable(f"the path {quoted(path)}, which leads out of {folder}")
    return file


def _image_column(place: str, table: ParquetTable) -> str:
    declared = [name for name in table.columns if _kind(table, name) == "Image"]
    for name in [*declared, "image", "img"]:
        if name in table.columns:
            return name
    raise UserError(
        f"{place}/{table.file}: expected a column named image or img,"
        f" got {first_of(table.columns, 10) or 'no columns'}"
    )


def _label_column(place: str, table: ParquetTable) -> str | None:
    if "label" in table.columns:
        return "label"
    candidates = [name for name in table.columns if _kind(table, name) == "ClassLabel"]
    if len(candidates) > 1:
        raise UserError(
            f"{place}/{table.file}: expected one column of labels,"
            f" or one named label, got {first_of(candidates, 10)}"
        )
    return candidates[0] if candidates else None


def _kind(table: ParquetTable, column: str) -> str | None:
    feature = table.features.get(column)
    return feature.get("_type") if isinstance(feature, dict) else None


def _labels(place: str, table: ParquetTable) -> LabelColumn:
    file = f"{place}/{table.file}"
    column = _label_column(place, table)
    if column is None:
        return LabelColumn(file, [None] * table.rows, None)
    labels: list[Label] = []
    for cells in table.batches(column, _LABELS):
        labels += [_label(file, column, cell) for cell in cells]
    return LabelColumn(file, labels, declared_names(file, column, table.features.get(column)))


def _label(file: str, column: str, cell: Any) -> Label:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, int):
        return int(cell) if cell >= 0 else None
    raise UserError(
        f"{file}: expected integers or text in the column {shortened(column)}, got {type(cell).__name__}"
    )
