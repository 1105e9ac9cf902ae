"""Names of images that are computed on demand, without memory for each."""

import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

import numpy as np


class _Computed(Sequence[str]):
    """A sequence whose items are computed on access."""

    def _name(self, index: int) -> str:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self._name(position) for position in range(*index.indices(len(self)))]
        # NumPy integers index too; range raises the usual IndexError.
        return self._name(range(len(self))[index])


class RowNames(_Computed):
    """The rows of some tables, one table after the other: `<table> 0`, `<table> 1` and so on."""

    def __init__(self, tables: Sequence[tuple[str, int]]) -> None:
        """Names for `tables`, pairs of a table's name and its number of rows."""
        self._prefixes = [prefix for prefix, _ in tables]
        self._ends = list(accumulate(rows for _, rows in tables))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _name(self, index: int) -> str:
        table = bisect.bisect_right(self._ends, index)
        start = self._ends[table - 1] if table else 0
        return f"{self._prefixes[table]} {index - start}"


class ChosenNames(_Computed):
    """A selection of names: `names[rows[0]]`, `names[rows[1]]` and so on."""

    def __init__(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Select names by `rows`, integers [n], indices into `names`."""
        self._names = names
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def _name(self, index: int) -> str:
        return self._names[int(self._rows[index])]
