"""Confusion matrix: which classes are predicted as which."""

from dataclasses import dataclass

import numpy as np

MOST_IN_MATRIX = 20
"""Largest number of classes for which the full matrix is readable."""


@dataclass(frozen=True)
class Cell:
    """Number of images of one class that were predicted as one class."""

    count: int
    right: bool
    shade: float
    """Shade from 0 to 1: the share of the class if right; relative to the most frequent mistake if wrong."""


@dataclass(frozen=True)
class ConfusionRow:
    """A row of the matrix: the predictions for the images of one class."""

    name: str
    cells: list[Cell]
    right: int
    total: int


@dataclass(frozen=True)
class Pair:
    """A pair of classes that are confused."""

    true: str
    predicted: str
    count: int
    total: int
    """Number of images of the true class."""


@dataclass(frozen=True)
class Confusion:
    """The page's summary of a confusion matrix."""

    rows: list[ConfusionRow]
    """Rows of the matrix; empty for too many classes."""

    pairs: list[Pair]
    """The most frequent mistakes, in order; with many classes, none that was made only once."""

    mistakes: int
    """Number of misclassified images in all."""

    long_names: bool
    """True if the names of the classes would make the columns too wide."""

    @classmethod
    def from_counts(cls, counts: np.ndarray, classes: list[str]) -> "Confusion":
        small = len(classes) <= MOST_IN_MATRIX
        return cls(
            _rows(counts, classes) if small else [],
            _pairs(counts, classes, limit=9, fewest=1)
            if small
            else _pairs(counts, classes, limit=20, fewest=2),
            int(_mistakes(counts).sum()),
            long_names=max(map(len, classes)) > 3,
        )


def _mistakes(counts: np.ndarray) -> np.ndarray:
    return counts * (1 - np.eye(len(counts), dtype=counts.dtype))


def _rows(counts: np.ndarray, classes: list[str]) -> list[ConfusionRow]:
    commonest = max(1, _mistakes(counts).max())

    def cell(count: int, right: bool, total: int) -> Cell:
        return Cell(count, right, count / (max(1, total) if right else commonest))

    return [
        ConfusionRow(
            name,
            [cell(int(count), column == own, int(row.sum())) for column, count in enumerate(row)],
            int(row[own]),
            int(row.sum()),
        )
        for own, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]


def _pairs(counts: np.ndarray, classes: list[str], limit: int, fewest: int) -> list[Pair]:
    mistakes = _mistakes(counts)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    return [
        Pair(
            classes[true],
            classes[predicted],
            int(mistakes[true, predicted]),
            int(counts[true].sum()),
        )
        for true, predicted in zip(*np.unravel_index(order, mistakes.shape), strict=True)
        if mistakes[true, predicted] >= fewest
    ]
