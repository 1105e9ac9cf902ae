"""Intervals of squared distances, as FID and KID are: near 0 they are neither normal nor of one variance."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from convergan.statistics.intervals import Interval, holding
from convergan.statistics.levels import LEVEL

_ERRORS_TOWARDS, _ERRORS_AWAY = -1.0, 0.5
"""Of a difference's variance, at its end towards 0 and at that away from it."""

_STEPS = 60
"""Halvings of a bisection, after which only rounding is left."""


@dataclass(frozen=True)
class DistanceSpread:
    """Variation of an estimate of a squared distance t, for every t.

    A sum of squares w (z + d)^2 of normal z, less what its mean exceeds t by, has the variance
    `at_zero` + `slope` t and the third cumulant `third` + 1.5 `slope`^2 t, exactly where all that is moved,
    d, has one weight w = `slope` / 4.
    """

    at_zero: float
    """The variance if t is 0."""
    third: float
    """The third cumulant if t is 0; 0 or more."""
    slope: float
    """Growth of the variance with t; 0 or more."""
    bounded: bool = True
    """True if the bias of the estimate is known exactly, and so that t is not below 0."""

    def bound(self, distance: float, share: float) -> float:
        """Quantile of the estimates if t is `distance`: of the gamma distribution with these three cumulants
        (Pearson's type III)."""
        positive = max(0.0, distance)
        variance = self.at_zero + self.slope * positive
        if variance <= 0:
            return distance
        third = self.third + 1.5 * self.slope**2 * positive
        return distance + math.sqrt(variance) * _quantile(share, third / variance**1.5)

    def lower_tail(self, distance: float) -> float:
        """The share of estimates of `distance` that are called too low; the rest of 5 % are too high.

        Half of 5 %; where it is known that t is not below 0, the less the nearer 0 is, against chance or the
        growth of the variance, and none at 0 itself: nothing speaks for 0 as an estimate below it does.
        """
        half = (1 - LEVEL) / 2
        if not self.bounded:
            return half
        positive = max(0.0, distance)
        from_zero = self.slope * positive + positive**2
        if from_zero <= 0:
            return 0.0
        share_at_zero = self.at_zero / (self.at_zero + from_zero)
        return half * (1 - share_at_zero) * (1 + 1.5 * share_at_zero)


def interval_of_squared_distance(
    value: float, spread: DistanceSpread, bias: float = 0.0
) -> Interval:
    """Interval of an estimate's mean at 95 %: all t and its bias of which `value` is neither too low nor too
    high an estimate, and `value` itself.

    The variance is that of each t that is asked about, and not that of the sample, which is too small where
    the estimate came out low.

    Args:
        value: the estimate.
        spread: of estimates.
        bias: what they exceed t by on average.
    """
    distance = value - bias

    def too_low(t: float) -> bool:
        return distance < spread.bound(t, spread.lower_tail(t))

    def too_high(t: float) -> bool:
        return distance > spread.bound(t, spread.lower_tail(t) + LEVEL)

    step = math.sqrt(spread.at_zero + spread.slope * max(0.0, distance)) + spread.slope
    if not math.isfinite(step) or step <= 0:
        return Interval(value, value)
    start = max(distance, 0.0) if spread.bounded else distance
    high = _border(start, step, too_low)
    if spread.bounded:
        low = 0.0 if not too_high(0.0) else _bisection(0.0, distance, lambda t: not too_high(t))
    else:
        low = -_border(-distance, step, lambda t: too_high(-t))
    return holding(value, low + bias, high + bias)


@dataclass(frozen=True)
class DifferenceSpread:
    """Variation of the difference of two squared distances from one point, as sets of images have them from a
    reference.

    With u the one set's mean less the other's, and v their sum less twice the reference's, the difference is
    u . v. Where both sets are of one kind u is chance alone, and independent of v: the difference is then
    normal, with a variance by u that the v of the sample tells exactly. Else v's chance times what u is, but
    for chance, adds to the variance; how much, the u of the sample tells with chance of its own.
    """

    by_first: float
    """The variance by the chance of u, at the sample's v."""
    by_second: float
    """The variance by the chance of v, at the sample's u."""
    by_chance: float
    """What `by_second` is on average where both sets are of one kind."""
    error: float
    """Standard deviation of `by_second` then."""

    def variance(self, errors: float) -> float:
        """Of the difference, if `by_second` came out by so many of its standard deviations too low."""
        beyond = self.by_second - self.by_chance + errors * self.error
        return self.by_first + max(0.0, beyond)


def interval_of_difference_of_distances(difference: float, spread: DifferenceSpread) -> Interval:
    """Interval of the difference of two squared distances at 95 %, normal at either end.

    Towards 0, which two sets of one kind differ by, `by_second` is taken for more than chance only by what it
    exceeds chance by and a standard deviation of its own; away from 0 by half of one too low: larger
    differences vary more. In simulations of sums of squares this held 92 to 98 % of truths.
    """

    def length(errors: float) -> float:
        return _quantile((1 + LEVEL) / 2, 0.0) * math.sqrt(spread.variance(errors))

    apart, away = abs(difference), length(_ERRORS_AWAY)
    towards = length(_ERRORS_TOWARDS)
    near = apart - (towards if towards < apart else away)
    low, high = holding(apart, near, apart + away)
    return Interval(low, high) if difference >= 0 else Interval(-high, -low)


def _border(start: float, step: float, excludes: Callable[[float], bool]) -> float:
    """A point from `start` on at which `excludes` begins to hold; infinity where it never does."""
    end = start + step
    while math.isfinite(end) and not excludes(end):
        step *= 2
        end = start + step
    return _bisection(start, end, excludes) if math.isfinite(end) else math.inf


def _bisection(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """A point at which `holds` begins to hold: it does at `high`."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _quantile(share: float, skewness: float) -> float:
    """Quantile of the gamma distribution with mean 0, variance 1 and a skewness."""
    # scipy takes long to load.
    from scipy.special import gammaincinv, ndtri

    if skewness < 1e-3:
        return float(ndtri(share))
    shape = 4 / skewness**2
    return float((gammaincinv(shape, share) - shape) / math.sqrt(shape))
