"""How likely a study is to find a difference that is there."""

import math

from scipy.stats import nct, t

from convergan.errors import UserError
from convergan.statistics.levels import SIGNIFICANCE


def power_of_difference(
    participants: int, trials: int, difference: float, *, stdev_between: float = 0.07
) -> float:
    """The probability that two arms are found to differ, two-sided at 5 %.

    One participant's rate varies by s^2 between participants and by the binomial of the trials; at rates
    around one half, where the binomial varies most, v = s^2 (1 - 1 / trials) + .25 / trials. With n
    participants an arm the test is a t-test with 2 n - 2 degrees of freedom and noncentrality
    difference / sqrt(2 v / n).

    Args:
        participants: in each of the two arms, at least 2.
        trials: votes of each participant, at least 1.
        difference: of the arms' true rates, 0 to 1: .073 between the paper's 78.7 % and 71.4 %.
        stdev_between: s, the standard deviation of true rates between participants, 0 to 0.5. The default
            is that of the rates of 328 participants with 200 trials on CIFAR-10 (Stein et al. 2023), a
            little above that of their true rates because of the chance in the trials: the safe side.

    Raises:
        UserError: an argument outside its range.
    """
    _check("participants", participants, 2)
    _check("trials", trials, 1)
    _check("difference", difference, 0, 1)
    _check("stdev_between", stdev_between, 0, 0.5)
    variance = stdev_between**2 * (1 - 1 / trials) + 0.25 / trials
    return _power(participants, difference / math.sqrt(variance))


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
    return _power(participants, difference)


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        wanted = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise UserError(f"{name}: expected {wanted}, got {value}")


def _power(participants: int, difference: float) -> float:
    """Of a t-test; `difference` in standard deviations of one participant's number."""
    freedom = 2 * participants - 2
    noncentrality = difference * math.sqrt(participants / 2)
    critical = t.ppf(1 - SIGNIFICANCE / 2, freedom)
    found = nct.sf(critical, freedom, noncentrality) + nct.cdf(-critical, freedom, noncentrality)
    return float(min(1.0, found))
