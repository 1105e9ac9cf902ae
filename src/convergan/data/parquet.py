"""Images and labels in parquet files, as the Hugging Face hub keeps them."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convergan.data.decode import Encoded, Unreadable
from convergan.data.names import RowNames
from convergan.data.regular_files import require_regular
from convergan.data.undecoded import Label, Part, Source, class_numbers, classes_among
from convergan.data.utf8 import require_utf8
from convergan.data.walk import files_below
from convergan.errors import UserError

# Rows held at a time: of encoded images, and of labels.
_IMAGES, _LABELS = 256, 65_536

# A word of a file's or a folder's name: `train-00000`, `partial-train`, `testing`, `my_val`. SVHN has a
# split `extra`, which is not used.
_SPLIT = re.compile(r"(?<![a-z])(train|test|val|extra(?![a-z]))")


@dataclass(frozen=True)
class Table:
    """Rows of encoded images and labels."""

    name: str
    rows: int
    columns: Sequence[str]
    features: dict[str, Any]
    """What the hub's library says of columns: {"_type": "ClassLabel", "names": [...]} and the like."""

    files: Sequence[Path]
    """The files that hold the rows."""

    paths_within: Path | None
    """Where images given as paths must lie, absolute. None: anywhere, as the hub's library wrote them."""

    batches: Callable[[str, int], Iterator[Any]]
    """Reads one column, given its name, so many rows (as Arrow arrays) at a time."""


def find_parquet(path: Path) -> dict[str, list[Path]]:
    """The parquet files below a folder, sorted, by their splits: `train`, `test` and `validation`.

    The split is a word that starts with train, test or val, in the file's name (`train-00000.parquet`), else
    in the name of the closest folder that has one (`default/partial-train/0000.parquet`). Where no file has
    one, all are training images. Hidden files are passed over, as in `walk.files_below`.

    Raises:
        UserError: some files name their splits and another does not: it may hold test images; a folder that
            cannot be read.
    """
    names = sorted(name for name in map(Path, files_below(path)) if name.suffix == ".parquet")
    named = {name: split for name in names if (split := split_of(name))}
    if not named:
        named = dict.fromkeys(names, "train")
    for name in names:
        if name not in named:
            raise UserError(
                f"{path / name}: expected train, test or val in the name of the file or its folder,"
                f" as in {next(iter(named))}, got none"
            )
    return {
        split: [path / name for name in names if split.startswith(named[name])]
        for split in ("train", "test", "validation")
    }


def split_of(name: Path) -> str | None:
    """The split that a file's path names: train, test, val or extra; None where no part of it, or one of
    several splits, tells."""
    for part in reversed(name.parts):
        splits = set(_SPLIT.findall(part.lower()))
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def open_parquet(path: Path, files: dict[str, list[Path]]) -> Source:
    """The images of parquet files.

    Args:
        path: the folder that the files are named relative to.
        files: of each split, as `find_parquet` returns them.

    Raises:
        UserError: no training images, a broken file or one whose name is no UTF-8, or what `open_tables`
            raises.
    """
    if not files["train"]:
        raise UserError(
            f"{path}: expected parquet files named train-*.parquet, or in a folder train,"
            " got none for training"
        )
    return open_tables(
        str(path),
        {split: [_table(path, file) for file in some] for split, some in files.items() if some},
    )


def open_tables(place: str, splits: dict[str, list[Table]]) -> Source:
    """The images of tables with a column of images and perhaps one of labels.

    The image column is the one that the hub's library says is one, else `image` or `img`. The label column
    is `label`, else the only one of classes; its classes are named there, else they are the sorted distinct
    labels of the training images. Empty and negative labels mean unlabelled. The test set is the split
    `test`, or `validation` where there is no `test` or it has no labels (as that of ImageNet).

    Raises:
        UserError: no image column; several columns that may be the labels; labels that are neither
            integers nor text; or a label outside the classes.
    """
    train_tables = splits["train"]
    names = _class_names(place, train_tables)
    train_labels = _labels(place, train_tables)
    classes: Sequence[str | int]
    classes = classes_among(train_labels) if names is None else range(len(names))
    test = None
    for split in ("test", "validation"):
        tables = splits.get(split, [])
        labels = _labels(place, tables)
        if any(label is not None for label in labels):
            test = _part(place, tables, labels, classes)
            break
    return Source(
        place,
        _part(place, train_tables, train_labels, classes),
        test,
        tuple(map(str, classes if names is None else names)),
    )


def _table(folder: Path, file: Path) -> Table:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    def batches(column: str, rows: int) -> Iterator[Any]:
        try:
            for batch in ParquetFile(file).iter_batches(rows, columns=[column]):
                yield batch.column(0)
        except (ArrowException, OSError) as error:
            raise _broken(file, error) from error

    require_utf8([str(file)], "a file")
    try:
        require_regular(file)
        opened = ParquetFile(file)
    except (ArrowException, OSError) as error:
        raise _broken(file, error) from error
    schema = opened.schema_arrow
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return Table(
        name=f"{file.relative_to(folder).as_posix()} row",
        rows=opened.metadata.num_rows,
        columns=schema.names,
        features=(written.get("info") or {}).get("features") or {},
        files=[file],
        paths_within=Path(os.path.abspath(file.parent)),
        batches=batches,
    )


def _broken(file: Path, error: Exception) -> UserError:
    return UserError(f"{file}: expected a parquet file, got {' '.join(str(error).split())}")


def _part(
    place: str, tables: list[Table], labels: list[Label], classes: Sequence[str | int]
) -> Part:
    names = RowNames([(table.name, table.rows) for table in tables])
    columns = [_image_column(place, table) for table in tables]

    def encoded() -> Iterator[Encoded]:
        for table, column in zip(tables, columns, strict=True):
            for batch in table.batches(column, _IMAGES):
                for cell in batch.to_pylist():
                    yield _encoded(cell, table.paths_within)

    numbers = class_numbers(labels, classes, names=names, place=place)
    return Part(names, numbers, encoded, [file for table in tables for file in table.files])


def _encoded(cell: Any, within: Path | None) -> Encoded:
    # The hub's images are bytes, or a path to a file beside them.
    if isinstance(cell, dict):
        path = cell.get("path")
        cell = cell.get("bytes")
        if not cell and path and isinstance(path, str):
            return Path(path) if within is None else _path_within(within, path)
    return cell if isinstance(cell, bytes) else b""


def _path_within(folder: Path, path: str) -> Encoded:
    """A path of a foreign file's making: it may open what came with it, and nothing else on this machine."""
    # Without following links: the hub's cache is made of links to files elsewhere.
    file = Path(os.path.normpath(folder / path))
    if not file.is_relative_to(folder):
        return Unreadable(f"the path {path!r}, which leads out of {folder}")
    return file


def _image_column(place: str, table: Table) -> str:
    declared = [name for name in table.columns if _kind(table, name) == "Image"]
    for name in [*declared, "image", "img"]:
        if name in table.columns:
            return name
    raise UserError(
        f"{place}/{table.name.removesuffix(' row')}: expected a column named image or img,"
        f" got {', '.join(table.columns) or 'no columns'}"
    )


def _label_column(place: str, table: Table) -> str | None:
    if "label" in table.columns:
        return "label"
    candidates = [name for name in table.columns if _kind(table, name) == "ClassLabel"]
    if len(candidates) > 1:
        raise UserError(
            f"{place}/{table.name.removesuffix(' row')}: expected one column of labels,"
            f" or one named label, got {', '.join(candidates)}"
        )
    return candidates[0] if candidates else None


def _class_names(place: str, tables: Iterable[Table]) -> list[str] | None:
    for table in tables:
        feature = table.features.get(_label_column(place, table) or "")
        if isinstance(feature, dict) and feature.get("names"):
            return list(feature["names"])
    return None


def _kind(table: Table, column: str) -> str | None:
    feature = table.features.get(column)
    return feature.get("_type") if isinstance(feature, dict) else None


def _labels(place: str, tables: Iterable[Table]) -> list[Label]:
    labels: list[Label] = []
    for table in tables:
        column = _label_column(place, table)
        if column is None:
            labels += [None] * table.rows
            continue
        for batch in table.batches(column, _LABELS):
            labels += [_label(place, table, column, cell) for cell in batch.to_pylist()]
    return labels


def _label(place: str, table: Table, column: str, cell: Any) -> Label:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, int):
        return int(cell) if cell >= 0 else None
    raise UserError(
        f"{place}/{table.name.removesuffix(' row')}: expected integers or text in the column"
        f" {column}, got {type(cell).__name__}"
    )
