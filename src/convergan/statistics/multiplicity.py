"""Several tests at once: p-values that are corrected for their number."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values of several comparisons, adjusted so that a false one is found at most as often as in one
    (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70).

    The i-th smallest of m becomes the largest of (m - j + 1) p_(j) over j up to i, at most 1.

    Args:
        p_values: [m], 0 to 1.

    Returns:
        [m], in the same order.
    """
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1) * p_values[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def holm_of_known(p_values: Sequence[float | None]) -> list[float | None]:
    """`holm` of those that are known; None of the others, which were no tests."""
    corrected = iter(holm(np.array([each for each in p_values if each is not None])).tolist())
    return [None if each is None else next(corrected) for each in p_values]
