"""Sizes of two sets of images are compared by their range."""

import numpy as np
import pytest

from convergan.errors import UserError
from convergan.images.sizes import Sizes, sizes_as_array, sizes_of, sizes_of_array


def test_sizes_are_those_of_the_smallest_and_the_largest_area() -> None:
    assert sizes_of([(3, 30), (8, 8), (100, 1)]) == Sizes((8, 8), (100, 1))
    assert sizes_of([]) is None
    assert str(sizes_of([(8, 6)])) == "6x8" and str(sizes_of([(8, 6), (9, 9)])) == "6x8 to 9x9"


def test_the_array_keeps_them() -> None:
    for sizes in (None, Sizes((8, 6), (8, 6)), Sizes((8, 6), (100, 200))):
        assert sizes_of_array("a", sizes_as_array(sizes)) == sizes
    with pytest.raises(UserError, match=r"a: expected sizes \[2, 2\] .*, got int64 \[2\]"):
        sizes_of_array("a", np.array([8, 8]))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([(8, 8)], [(8, 8)], True),
        ([(8, 8)], [(16, 16)], False),
        # One size alone, and photographs.
        ([(8, 8)], [(8, 8), (9, 9)], False),
        # Photographs need no size in common.
        ([(80, 80), (300, 200)], [(81, 70), (310, 190)], True),
        ([(80, 80), (100, 100)], [(200, 200), (300, 300)], False),
    ],
)
def test_sets_of_other_sizes(
    first: list[tuple[int, int]], second: list[tuple[int, int]], expected: bool
) -> None:
    first_sizes, second_sizes = sizes_of(first), sizes_of(second)
    assert first_sizes is not None and second_sizes is not None
    assert first_sizes.overlap(second_sizes) == second_sizes.overlap(first_sizes) == expected
