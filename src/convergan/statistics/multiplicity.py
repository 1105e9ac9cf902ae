"""Multiple tests: p-values corrected for their number."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust the p-values of several tests by Holm's method.

    With adjusted p-values, the probability of any false finding among all tests is at most that of one test.
    The i-th smallest of m p-values becomes the largest of (m - j + 1) p_(j) over j up to i, at most 1.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.

    Args:
        p_values: p-values, [m], 0 to 1.

    Returns:
        Adjusted p-values, [m], in the same order.
    """
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1) * p_values[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def holm_of_known(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the known p-values as `holm` does; None stands for a test that was not made, and stays None."""
    corrected = iter(
        holm(np.array([p_value for p_value in p_values if p_value is not None])).tolist()
    )
    return [None if p_value is None else next(corrected) for p_value in p_values]
