"""CSV and Parquet files of named columns."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from convergan.errors import UserError, one_line, shortened
from convergan.outputs import STANDARD_OUTPUT, binary_output, spreadsheet_text

_SUFFIXES = (".csv", ".parquet")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class ColumnTable:
    """The columns of a file."""

    columns: dict[str, list[str]]
    """Cells by the name of the column, "" where empty; columns have equal lengths."""

    decimal_comma: bool = False
    """Numbers may have a decimal comma."""


def read_table(path: Path) -> ColumnTable:
    """Read every column as text; the kind of file follows from the suffix.

    Text, because the participant "007" of a CSV file is not a number. The columns of a CSV file are separated
    by commas, semicolons or tabs: by whichever divides the header into most. Spreadsheets write semicolons
    where the decimal separator is a comma.

    Raises:
        UserError: the file is of another kind, or its content is not what its suffix says, or two columns
            have the same name.
    """
    delimiter = ","
    if _suffix(path) == ".parquet":
        columns = _read_parquet(path)
    else:
        columns, delimiter = _read_csv(path)
    names = [name for name, _ in columns]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path}: expected each column once, got {shortened(repeated[0])} again")
    return ColumnTable(dict(columns), decimal_comma=delimiter == ";")


def write_table(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of equal length, completely or not at all; NaN becomes an empty cell.

    Args:
        path: *.csv or *.parquet; `-` writes CSV to the standard output.
        columns: cells by the name of the column. In CSV an apostrophe precedes text that a spreadsheet
            would evaluate.

    Raises:
        UserError: `path` has another suffix.
    """
    as_csv = path == STANDARD_OUTPUT or _suffix(path) == ".csv"
    table = pa.table(
        {
            name: pa.array(_harmless(cells) if as_csv else cells, from_pandas=True)
            for name, cells in columns.items()
        }
    )
    with binary_output(path) as file:
        if as_csv:
            pyarrow.csv.write_csv(table, file)
        else:
            pyarrow.parquet.write_table(table, file)


def _harmless(cells: np.ndarray) -> np.ndarray:
    if cells.dtype.kind != "U":
        return cells
    return np.array([spreadsheet_text(cell) for cell in cells.tolist()], dtype=str)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"{path}: expected a file named *.csv or *.parquet")
    return suffix


def _read_csv(path: Path) -> tuple[list[tuple[str, list[str]]], str]:
    """Read columns with their names, and the delimiter."""
    try:
        # utf-8-sig: spreadsheets begin their UTF-8 with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = file.readlines()
        delimiter = max(_DELIMITERS, key=partial(_header_size, lines))
        rows = csv.reader(lines, delimiter=delimiter)
        names = [name.strip() for name in next(rows, [])]
        cells: list[list[str]] = [[] for _ in names]
        for row in rows:
            if not row:  # blank line
                continue
            if len(row) != len(names):
                raise UserError(
                    f"{path} line {rows.line_num}: expected {len(names)} fields as in the header, "
                    f"got {len(row)}"
                )
            for column, cell in zip(cells, row, strict=True):
                column.append(cell.strip())
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: expected values separated by commas, semicolons or tabs, in UTF-8, got "
            f"{one_line(error)}"
        ) from error
    return list(zip(names, cells, strict=True)), delimiter


def _header_size(lines: list[str], delimiter: str) -> int:
    """Count the names in the header, if this is the delimiter."""
    try:
        return len(next(csv.reader(lines, delimiter=delimiter), []))
    except csv.Error:  # without the right one, the whole header is one long name
        return 0


def _read_parquet(path: Path) -> list[tuple[str, list[str]]]:
    try:
        table = pyarrow.parquet.read_table(path)
        return [
            (name, column.cast(pa.string()).fill_null("").to_pylist())
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"{path}: expected a Parquet file of plain columns, got {one_line(error)}"
        ) from error
