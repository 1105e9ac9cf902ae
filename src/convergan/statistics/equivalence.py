"""Whether a mean is what was expected: a test that refutes it, and one that confirms it to within a margin.

That a difference was not shown is no evidence that there is none: "equivalent" takes a test of its own.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import ttest_1samp

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import SIGNIFICANCE

_Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean against an expected one."""

    margin: float
    p_value: float
    interval: Interval
    """90 %: it lies within the expected mean plus and minus the margin exactly where p is below 5 %."""

    @property
    def equivalent(self) -> bool:
        return self.p_value < SIGNIFICANCE


def mean_p_value(values: np.ndarray, expected: float) -> float | None:
    """The two-sided p-value of an expected mean, by Student's t-test of one sample. It keeps its level with
    very few values too, where a bootstrap knows nothing beyond the lowest and the highest.

    Args:
        values: [members].
        expected: the mean.

    Returns:
        None with fewer than two values.
    """
    if len(values) < 2:
        return None
    return _p_value(values, expected, "two-sided")


def equivalence(values: np.ndarray, expected: float, margin: float) -> Equivalence | None:
    """Whether a mean is nearer to an expected one than `margin` (TOST: Schuirmann 1987; Lakens 2017).

    Both "the mean is `expected` - `margin` or less" and "`expected` + `margin` or more" must be refuted by a
    t-test; p is the larger of the two.

    Args:
        values: [members].
        expected: the mean.
        margin: above 0: the largest difference that does not matter.

    Returns:
        None with fewer than two values.
    """
    if len(values) < 2:
        return None
    p_value = max(
        _p_value(values, expected - margin, "greater"), _p_value(values, expected + margin, "less")
    )
    low, high = _t_test(values, expected, "two-sided").confidence_interval(1 - 2 * SIGNIFICANCE)
    return Equivalence(margin, p_value, Interval(float(low), float(high)))


def _p_value(values: np.ndarray, expected: float, alternative: _Alternative) -> float:
    """The p-value of the t-test. Where all values are equal, t is 0 at `expected` and infinite elsewhere."""
    of_zero = 1.0 if alternative == "two-sided" else 0.5
    return float(np.nan_to_num(_t_test(values, expected, alternative).pvalue, nan=of_zero))


def _t_test(values: np.ndarray, expected: float, alternative: _Alternative) -> Any:
    # SciPy warns of lost digits where all values are alike.
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return ttest_1samp(values, expected, alternative=alternative)
