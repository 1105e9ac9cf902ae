"""Columns of text, parsed into values; errors name the cell."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from convergan.errors import UserError, first_of, quoted, shortened
from convergan.study.import_export.table_files import ColumnTable

_TRUE, _FALSE = ("true", "1", "yes", "generated", "fake"), ("false", "0", "no", "real")

_Value = TypeVar("_Value")


class Cells:
    """The columns of one file."""

    def __init__(self, path: Path, table: ColumnTable, required: Sequence[str]) -> None:
        """Check that the required columns are there.

        Args:
            path: the file, for messages.
            table: the columns of the file.
            required: names of the columns that must be there, at least one.

        Raises:
            UserError: a required column is missing.
        """
        if missing := [name for name in required if name not in table.columns]:
            raise UserError(
                f"{path}: expected the columns {', '.join(required)}, got no {', '.join(missing)}"
            )
        self._path, self._columns = path, table.columns
        self._decimal = "," if table.decimal_comma else "."
        self.size = len(table.columns[required[0]])

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def text(self, name: str) -> np.ndarray:
        """Return a column of text: str [size], no cell empty."""
        return np.array(self._parsed(name, "some text", _not_empty), str)

    def truths(self, name: str) -> np.ndarray:
        """Return a column of truths: bool [size]."""
        return np.array(self._parsed(name, "true or false, or generated or real", _truth), bool)

    def numbers(
        self, name: str, *, low: float = -math.inf, high: float = math.inf, empty: bool = False
    ) -> np.ndarray:
        """Return a column of numbers: float64 [size], `low` to `high`; NaN for empty cells, if `empty`."""

        def number(cell: str) -> float:
            if empty and not cell:
                return math.nan
            value = self._float(cell)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError
            return value

        expected = "a number" if low == -math.inf else f"a number from {low:g}"
        expected += f" to {high:g}" if high < math.inf else ""
        return np.array(self._parsed(name, expected, number), float)

    def counts(self, name: str) -> np.ndarray:
        """Return a column of whole numbers: int64 [size], at least 1."""

        def count(cell: str) -> int:
            # Some programs write whole numbers with a decimal point where a cell of the column is empty.
            value = self._float(cell)
            if not (value.is_integer() and value >= 1):
                raise ValueError
            return int(value)

        return np.array(self._parsed(name, "a whole number from 1", count), np.int64)

    def require_once(self, expected: str, *keys: np.ndarray) -> None:
        """Raise UserError where two rows have the same keys."""
        _, first = np.unique(np.stack([key.astype(str) for key in keys]), axis=1, return_index=True)
        if len(first) < self.size:
            place = np.setdiff1d(np.arange(self.size), first)[0]
            repeated = first_of(key[place] for key in keys)
            raise UserError(
                f"{self._path} row {place + 1}: expected {expected}, got {repeated} again"
            )

    def require_one(self, expected: str, values: np.ndarray, keys: np.ndarray) -> None:
        """Raise UserError where two rows with the same key have different values."""
        _, first, row = np.unique(keys, return_index=True, return_inverse=True)
        if (differing := np.flatnonzero(values != values[first[row]])).size:
            place = differing[0]
            raise UserError(
                f"{self._path} row {place + 1}: expected {expected}, got {shortened(str(keys[place]))} "
                f"with {shortened(str(values[place]))} and with {shortened(str(values[first[row[place]]]))}"
            )

    def require_generated(self, control: np.ndarray, generated: np.ndarray) -> None:
        """Raise UserError where a control is a real image: controls are obvious fakes."""
        if (real := np.flatnonzero(control & ~generated)).size:
            raise UserError(
                f"{self._path} row {real[0] + 1}: expected a control to be generated (an obvious fake), got"
                " a real one"
            )

    def _float(self, cell: str) -> float:
        return float(cell.replace(self._decimal, "."))

    def _parsed(self, name: str, expected: str, parse: Callable[[str], _Value]) -> list[_Value]:
        values = []
        for row, cell in enumerate(self._columns[name], start=1):
            try:
                values.append(parse(cell))
            except ValueError:
                raise UserError(
                    f"{self._path} row {row}: expected {expected} in {name}, got {quoted(cell)}"
                ) from None
        return values


def _not_empty(cell: str) -> str:
    if not cell:
        raise ValueError
    return cell


def _truth(cell: str) -> bool:
    word = cell.lower()
    if word not in _TRUE + _FALSE:
        raise ValueError
    return word in _TRUE
