"""How likely a study is to find a difference that is there."""

import math
from bisect import bisect_left
from typing import Any

from scipy.stats import nct, t

from convergan.errors import UserError
from convergan.statistics.levels import SIGNIFICANCE

STDEV_BETWEEN = 0.07
"""Of true rates between participants: of the rates of 328 participants with 200 trials on CIFAR-10 (Stein
et al. 2023), a little above that of their true rates because of the chance in the trials: the safe side."""

STDEV_BETWEEN_IMAGES = 0.16
"""Of true rates between the images of a set: the middle of 0.13 to 0.19, of the votes on LSUN there."""

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
    """The probability that two of the arms are found to differ, two-sided at 5 % over all comparisons.

    One participant's rate varies by s^2 between participants and by the binomial of the trials; at rates
    around one half, where the binomial varies most, v = s^2 (1 - 1 / trials) + .25 / trials. With images
    as samples as well, the mean of an arm varies by u = s_i^2 / (4 images) more: half of the trials show
    generated images, and every arm has its own; the real ones are the same for all. With n participants an
    arm the test is a t-test with noncentrality difference / sqrt(2 v / n + 2 u) and degrees of freedom by
    Welch and Satterthwaite. Of several comparisons the level of one is that of Holm's first step.

    Args:
        participants: in each arm, at least 2.
        trials: votes of each participant, at least 1.
        difference: of the arms' true rates, 0 to 1: .073 between the paper's 78.7 % and 71.4 %.
        stdev_between: s, the standard deviation of true rates between participants, 0 to 0.5.
        arms: in the study, at least 2.
        images: of each set that are shown, at least 2; None: these images alone are of interest.
        stdev_between_images: s_i, the same between images of a set, 0 to 0.5.

    Raises:
        UserError: an argument outside its range.
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
        whole = by_participants + by_images
        freedom = whole**2 / (by_participants**2 / freedom + by_images**2 / (2 * images - 2))
    level = SIGNIFICANCE / (arms * (arms - 1) // 2)
    return _power(difference / math.sqrt(by_participants + by_images), freedom, level)


def participants_needed(power: float, trials: int, difference: float, **options: Any) -> int:
    """The fewest participants an arm with which a difference is found with this probability.

    Args:
        power: above 0 and below 1.
        trials: as for `power_of_difference`.
        difference: likewise, above 0.
        options: its others.

    Raises:
        UserError: an argument outside its range; or 100,000 are not enough: there are too few images.
    """
    if not 0 < power < 1:
        raise UserError(f"power: expected above 0 and below 1, got {power}")

    def enough(participants: int) -> bool:
        return power_of_difference(participants, trials, difference, **options) >= power

    if not enough(_MOST_PARTICIPANTS):
        raise UserError(
            f"power: expected one that so many images and this difference allow, got {power}, which"
            f" {_MOST_PARTICIPANTS:,} participants in each arm do not reach"
        )
    return bisect_left(range(_MOST_PARTICIPANTS), True, lo=2, key=enough)


def power_of_thresholds(participants: int, difference: float) -> float:
    """The probability that the exposure thresholds of two timed arms are found to differ, two-sided at 5 %.

    Args:
        participants: in each of the two arms, at least 2.
        difference: of the arms' mean thresholds, at least 0, in standard deviations of the participants'
            thresholds as measured.

    Raises:
        UserError: an argument outside its range.
    """
    _check("participants", participants, 2)
    _check("difference", difference, 0)
    return _power(difference * math.sqrt(participants / 2), 2 * participants - 2, SIGNIFICANCE)


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        wanted = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise UserError(f"{name}: expected {wanted}, got {value}")


def _power(noncentrality: float, freedom: float, level: float) -> float:
    """Of a two-sided t-test."""
    critical = t.ppf(1 - level / 2, freedom)
    found = nct.sf(critical, freedom, noncentrality) + nct.cdf(-critical, freedom, noncentrality)
    return float(min(1.0, found))
