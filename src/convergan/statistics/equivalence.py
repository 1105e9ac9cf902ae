"""Whether a mean is what was expected: a test that refutes it, and one that confirms it to within a margin.

That a difference was not shown is no evidence that there is none: "equivalent" takes a test of its own.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import SIGNIFICANCE


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
    size = len(values)
    if size < 2:
        return None
    mean, error = _mean_and_error(values)
    return float(2 * t.sf(abs(_in_errors(mean - expected, error)), size - 1))


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
    size = len(values)
    if size < 2:
        return None
    mean, error = _mean_and_error(values)
    from_below, from_above = _in_errors(mean - expected + np.array([margin, -margin]), error)
    p_value = max(t.sf(from_below, size - 1), t.cdf(from_above, size - 1))
    reach = t.ppf(1 - SIGNIFICANCE, size - 1) * error
    return Equivalence(margin, float(p_value), Interval(float(mean - reach), float(mean + reach)))


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _in_errors(distance: np.ndarray | float, error: float) -> np.ndarray:
    """Student's t; where no value differs from another it is 0 on the spot, and infinite elsewhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.divide(distance, error)
    return np.nan_to_num(found, nan=0, posinf=np.inf, neginf=-np.inf)
