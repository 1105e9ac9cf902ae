"""Sizes of the images of a set, from the smallest to the largest."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convergan.errors import UserError


@dataclass(frozen=True)
class Sizes:
    """Height and width in pixels of the smallest and of the largest image of a set, by their area."""

    smallest: tuple[int, int]
    largest: tuple[int, int]

    @property
    def uniform(self) -> bool:
        """True if all images have one size."""
        return self.smallest == self.largest

    def overlap(self, sizes: "Sizes") -> bool:
        """Test whether the images of two sets may have the same sizes.

        Images of one size need images of that size, and images of several sizes such with areas in the same
        range.
        """
        if self.uniform or sizes.uniform:
            return self == sizes
        return _area(self.smallest) <= _area(sizes.largest) and _area(sizes.smallest) <= _area(
            self.largest
        )

    def __str__(self) -> str:
        first, last = (f"{width}x{height}" for height, width in (self.smallest, self.largest))
        return first if self.uniform else f"{first} to {last}"


def sizes_of(sizes: Iterable[tuple[int, int]]) -> Sizes | None:
    """Smallest and largest of the heights and widths of images; None if there are none."""
    ordered = sorted(sizes, key=lambda size: (_area(size), size))
    return Sizes(ordered[0], ordered[-1]) if ordered else None


def sizes_as_array(sizes: Sizes | None) -> np.ndarray:
    """Heights and widths of the smallest and the largest image, int64 [2, 2]; [0, 2] for None."""
    rows = [] if sizes is None else [sizes.smallest, sizes.largest]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def sizes_of_array(place: str, array: np.ndarray) -> Sizes | None:
    """Sizes as `sizes_as_array` writes them.

    Raises:
        UserError: the array is another one; the message begins with `place`.
    """
    rows = array.shape[0] if array.ndim == 2 else None
    if rows not in (0, 2) or array.shape[1] != 2 or array.dtype.kind != "i" or (array < 1).any():
        raise UserError(
            f"{place}: expected sizes [2, 2] of whole numbers above 0, got {array.dtype}"
            f" {list(array.shape)}"
        )
    return sizes_of((int(height), int(width)) for height, width in array)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
