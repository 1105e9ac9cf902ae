"""The common form of all sources before any image is decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convergan.data.image_set import UNLABELLED
from convergan.errors import UserError, first_of, quoted
from convergan.images.decode import Encoded
from convergan.images.utf8 import require_utf8

Label = str | int | None
"""A label as in the source; None for an image without a label."""


@dataclass(frozen=True)
class Part:
    """Training or test images, not decoded yet."""

    names: Sequence[str]
    labels: np.ndarray
    """Class numbers, int64 [n]; UNLABELLED where unknown."""

    encoded: Callable[[], Iterator[Encoded]]
    """Function that reads the n image files, in order."""

    files: Sequence[Path]
    """The files that hold the images: while these do not change, the images do not."""


@dataclass(frozen=True)
class Source:
    """Images before they are decoded, and their labels."""

    place: str
    """The folder or the hub's id: with an image's name, the location of the image."""

    train: Part
    test: Part | None
    classes: tuple[str, ...]

    notes: tuple[str, ...] = ()
    """Notes on the images, as in `DataSet`."""

    def __post_init__(self) -> None:
        require_utf8(self.classes, "a class")
        if len(self.train.names) == 0:
            raise UserError(f"{self.place}: expected training images, got none")
        if self.test is not None and (self.test.labels == UNLABELLED).any():
            row = int(np.flatnonzero(self.test.labels == UNLABELLED)[0])
            raise UserError(
                f"{self.place}/{self.test.names[row]}: expected a label, as all test images need one,"
                " got none"
            )


def classes_among(labels: Sequence[Label]) -> list[str | int]:
    """The distinct labels, sorted; numbers before text."""
    distinct = {label for label in labels if label is not None}
    return sorted(distinct, key=lambda label: (isinstance(label, str), label))


def class_numbers(
    labels: Sequence[Label], classes: Sequence[str | int], *, names: Sequence[str], place: str
) -> np.ndarray:
    """Index of each label among the classes, int64 [n]; UNLABELLED for None.

    Raises:
        UserError: a label that is not among the classes; names its image.
    """
    numbers: dict[Label, int] = {label: number for number, label in enumerate(classes)}
    numbers[None] = UNLABELLED
    for name, label in zip(names, labels, strict=True):
        if label not in numbers:
            raise UserError(
                f"{place}/{name}: expected a label among the {len(classes)} classes of the training"
                f" images ({first_of(classes) or 'all unlabelled'}), got {quoted(label)}"
            )
    return np.array([numbers[label] for label in labels], dtype=np.int64)
