"""When "indistinguishable" may be said: a test that can confirm it, not one that failed to refute it."""

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
    mean, error = accuracy.mean(), accuracy.std(ddof=1) / np.sqrt(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (mean - CHANCE + np.array([margin, -margin])) / error
    # Where nobody differs from anybody and the mean lies on the margin, it is not within it.
    from_below, from_above = np.nan_to_num(distances, nan=0, posinf=np.inf, neginf=-np.inf)
    p_value = max(t.sf(from_below, size - 1), t.cdf(from_above, size - 1))
    reach = t.ppf(1 - SIGNIFICANCE, size - 1) * error
    return Equivalence(margin, float(p_value), (float(mean - reach), float(mean + reach)))
