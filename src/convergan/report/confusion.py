"""Which classes are taken for which."""

from dataclasses import dataclass

import numpy as np

MOST_IN_MATRIX = 20
"""Of more classes the whole matrix is no longer readable."""


@dataclass(frozen=True)
class Cell:
    """How many images of one class were taken for one class."""

    count: int
    right: bool
    shade: float
    """0 to 1: the share of the class where right; beside the commonest mistake where wrong."""


@dataclass(frozen=True)
class Row:
    """What the images of one class were taken for."""

    name: str
    cells: list[Cell]
    right: int
    total: int


@dataclass(frozen=True)
class Pair:
    """One way to be wrong."""

    true: str
    predicted: str
    count: int
    total: int
    """Images of the true class."""


@dataclass(frozen=True)
class Confusion:
    """What the page shows of a confusion matrix."""

    rows: list[Row]
    """Empty where the classes are too many."""

    pairs: list[Pair]
    """The commonest mistakes, the commonest first; where classes are many, none that was made only once."""

    mistakes: int
    """Images that were taken for another class, in all."""

    long_names: bool
    """The names of the classes would make the columns too wide."""

    @classmethod
    def of(cls, counts: np.ndarray, classes: list[str]) -> "Confusion":
        small = len(classes) <= MOST_IN_MATRIX
        return cls(
            _rows(counts, classes) if small else [],
            _pairs(counts, classes, most=9, fewest=1)
            if small
            else _pairs(counts, classes, most=20, fewest=2),
            int(_mistakes(counts).sum()),
            long_names=max(map(len, classes)) > 3,
        )


def _mistakes(counts: np.ndarray) -> np.ndarray:
    return counts * (1 - np.eye(len(counts), dtype=counts.dtype))


def _rows(counts: np.ndarray, classes: list[str]) -> list[Row]:
    commonest = max(1, _mistakes(counts).max())

    def cell(count: int, right: bool, total: int) -> Cell:
        return Cell(count, right, count / (max(1, total) if right else commonest))

    return [
        Row(
            name,
            [cell(int(count), place == own, int(row.sum())) for place, count in enumerate(row)],
            int(row[own]),
            int(row.sum()),
        )
        for own, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]


def _pairs(counts: np.ndarray, classes: list[str], most: int, fewest: int) -> list[Pair]:
    mistakes = _mistakes(counts)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    return [
        Pair(classes[true], classes[taken], int(mistakes[true, taken]), int(counts[true].sum()))
        for true, taken in zip(*np.unravel_index(order, mistakes.shape), strict=True)
        if mistakes[true, taken] >= fewest
    ]
