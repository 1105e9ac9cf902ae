"""Statistical power: the probability that a study finds a difference of a given size."""

import math
from bisect import bisect_left
from typing import Any

from scipy.stats import nct, t

from convergan.errors import UserError
from convergan.statistics.levels import SIGNIFICANCE

STDEV_BETWEEN = 0.07
"""Standard deviation of true rates between participants: that of the measured rates of 328 participants with
200 trials on CIFAR-10 (Stein et al. 2023). Chance in the trials makes it slightly too large, which
is the safe side."""

STDEV_BETWEEN_IMAGES = 0.16
"""Standard deviation of true rates between the images of a set: the middle of the range 0.13 to 0.19 of the
votes on LSUN in the same data."""

_MOST_PARTICIPANTS = 100_000


def power_of_difference(
    participants: int,
    trials: int,
    difference: float,
    *,
    stdev_between: float = STDEV_BETWEEN,
    arms: int = 2,
    images: int | None = None,
    stdev_between_images: float = STDEV_BETWEEN_IMAGES,
) -> float:
    """Compute the probability that a study finds a difference between two arms, two-sided at 5 % over all
    comparisons.

    The rate of one participant has the variance v = s^2 (1 - 1 / trials) + 0.25 / trials: s^2 between
    participants, and the binomial variance of the trials at rates around one half, where it is largest. If
    images are samples too, the mean of an arm has the additional variance u = s_i^2 / (4 images): half of the
    trials show generated images, which differ between arms; the real images are the same for all. With n
    participants per arm, the test is a t-test with noncentrality difference / sqrt(2 v / n + 2 u) and degrees
    of freedom by Welch and Satterthwaite. With several comparisons, each has the level of Holm's first step.

    Args:
        participants: the number in each arm, at least 2.
        trials: the number of votes of each participant, at least 1.
        difference: the difference between the arms' true rates, 0 to 1; 0.073 between the paper's 78.7 % and
            71.4 %.
        stdev_between: s, the standard deviation of true rates between participants, 0 to 0.5.
        arms: the number of arms in the study, at least 2.
        images: the number of images shown from each set, at least 2; None: only these images are of interest.
        stdev_between_images: s_i, the standard deviation of true rates between images of a set, 0 to 0.5.

    Raises:
        UserError: an argument is outside its range.
    """
    _check("participants", participants, 2)
    _check("trials", trials, 1)
    _check("difference", difference, 0, 1)
    _check("stdev_between", stdev_between, 0, 0.5)
    _check("arms", arms, 2)
    _check("stdev_between_images", stdev_between_images, 0, 0.5)
    by_participants = 2 * (stdev_between**2 * (1 - 1 / trials) + 0.25 / trials) / participants
    by_images = 0.0
    freedom = 2.0 * participants - 2
    if images is not None:
        _check("images", images, 2)
        by_images = 2 * stdev_between_images**2 / (4 * images)
        variance = by_participants + by_images
        freedom = variance**2 / (by_participants**2 / freedom + by_images**2 / (2 * images - 2))
    level = SIGNIFICANCE / (arms * (arms - 1) // 2)
    return _power(difference / math.sqrt(by_participants + by_images), freedom, level)


def participants_needed(power: float, trials: int, difference: float, **options: Any) -> int:
    """Compute the fewest participants per arm with which a study finds a difference with this probability.

    Args:
        power: the probability, above 0 and below 1.
        trials: see `power_of_difference`.
        difference: see `power_of_difference`; above 0.
        options: the other arguments of `power_of_difference`.

    Raises:
        UserError: an argument is outside its range, or 100,000 participants are not enough because there are
            too few images.
    """
    if not 0 < power < 1:
        raise UserError(f"power: expected above 0 and below 1, got {power}")

    def enough(participants: int) -> bool:
        return power_of_difference(participants, trials, difference, **options) >= power

    if not enough(_MOST_PARTICIPANTS):
        raise UserError(
            f"power: expected a value that this difference and number of images allow, got {power}, which"
            f" {_MOST_PARTICIPANTS:,} participants in each arm do not reach"
        )
    return bisect_left(range(_MOST_PARTICIPANTS), True, lo=2, key=enough)


def power_of_thresholds(participants: int, difference: float) -> float:
    """Compute the probability that a study finds a difference between the exposure thresholds of two timed
    arms, two-sided at 5 %.

    Args:
        participants: the number in each of the two arms, at least 2.
        difference: the difference between the arms' mean thresholds, at least 0, in standard deviations of
            the participants' measured thresholds.

    Raises:
        UserError: an argument is outside its range.
    """
    _check("participants", participants, 2)
    _check("difference", difference, 0)
    return _power(difference * math.sqrt(participants / 2), 2 * participants - 2, SIGNIFICANCE)


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        limits = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise UserError(f"{name}: expected {limits}, got {value}")


def _power(noncentrality: float, freedom: float, level: float) -> float:
    """Compute the power of a two-sided t-test."""
    critical = t.ppf(1 - level / 2, freedom)
    power = nct.sf(critical, freedom, noncentrality) + nct.cdf(-critical, freedom, noncentrality)
    return float(min(1.0, power))
