"""What accuracies say of chance. "Indistinguishable" takes a test that can confirm it, not one that failed
to refute it."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

MARGIN = 0.05
SIGNIFICANCE = 0.05
CHANCE = 0.5


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of an accuracy against chance."""

    margin: float
    p_value: float
    interval: tuple[float, float]
    """90 %: it lies within chance plus and minus the margin exactly where p is below 5 %."""

    @property
    def indistinguishable(self) -> bool:
        return self.p_value < SIGNIFICANCE


def chance_p_value(accuracy: np.ndarray) -> float | None:
    """Two-sided, of a mean accuracy of 50 %, by a t-test over participants. It keeps its level with very few
    of them too, where a bootstrap knows nothing beyond the lowest and the highest.

    Args:
        accuracy: [participants], shares of right answers.

    Returns:
        None with fewer than two participants.
    """
    size = len(accuracy)
    if size < 2:
        return None
    mean, error = _mean_and_error(accuracy)
    return float(2 * t.sf(abs(_in_errors(mean - CHANCE, error)), size - 1))


def equivalence(accuracy: np.ndarray, margin: float = MARGIN) -> Equivalence | None:
    """Whether the mean accuracy is nearer to 50 % than `margin` (TOST: Schuirmann 1987; Lakens 2017).

    Both "the mean is 50 % - margin or less" and "50 % + margin or more" must be refuted by a t-test over
    participants; p is the larger of the two.

    Args:
        accuracy: [participants], shares of right answers.
        margin: above 0, below 0.5: the largest difference from chance that does not matter.

    Returns:
        None with fewer than two participants.
    """
    size = len(accuracy)
    if size < 2:
        return None
    mean, error = _mean_and_error(accuracy)
    from_below, from_above = _in_errors(mean - CHANCE + np.array([margin, -margin]), error)
    p_value = max(t.sf(from_below, size - 1), t.cdf(from_above, size - 1))
    reach = t.ppf(1 - SIGNIFICANCE, size - 1) * error
    return Equivalence(margin, float(p_value), (float(mean - reach), float(mean + reach)))


def _mean_and_error(accuracy: np.ndarray) -> tuple[float, float]:
    return float(accuracy.mean()), float(accuracy.std(ddof=1) / np.sqrt(len(accuracy)))


def _in_errors(distance: np.ndarray | float, error: float) -> np.ndarray:
    """Student's t; where nobody differs from anybody it is 0 on the spot, and infinite elsewhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.divide(distance, error)
    return np.nan_to_num(found, nan=0, posinf=np.inf, neginf=-np.inf)
