"""Intervals of squared distances, as FID and KID are: near 0 they are neither normal nor of one variance."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from convergan.statistics.intervals import Interval, holding
from convergan.statistics.levels import LEVEL

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
        """Quantile of the estimates if t is `distance`.

        It is that of the gamma distribution with these three cumulants (Pearson's type III).
        """
        positive = max(0.0, distance)
        variance = self.at_zero + self.slope * positive
        if variance <= 0:
            return distance
        third = self.third + 1.5 * self.slope**2 * positive
        return distance + math.sqrt(variance) * _quantile(share, third / variance**1.5)

    def lower_tail(self, distance: float) -> float:
        """The share of estimates of `distance` that are called too low; the rest of 5 % are too high.

        Half of 5 %; where it is known that t is not below 0, and the variance grows with t, the less the more
        of the variance is there at 0 too, and none at 0 itself: nothing speaks for 0 as an estimate below it
        does.
        """
        half = (1 - LEVEL) / 2
        if not self.bounded or self.slope <= 0:
            return half
        growth = self.slope * max(0.0, distance)
        if growth <= 0:
            return 0.0
        share_at_zero = self.at_zero / (self.at_zero + growth)
        return half * (1 - share_at_zero) * (1 + 1.5 * share_at_zero)


def interval_of_squared_distance(
    value: float, spread: DistanceSpread, bias: float = 0.0
) -> Interval:
    """Interval of the expectation of an estimate at 95 %.

    It contains t plus the bias, for all t of which `value` is neither too low nor too high an estimate, and
    `value` itself. Each t is tested with its own variance, since that of the sample is too small if the
    estimate is low.

    Args:
        value: the estimate.
        spread: the variation of estimates.
        bias: the mean of the estimates less t.
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


def _border(start: float, step: float, excludes: Callable[[float], bool]) -> float:
    """Point from `start` on at which `excludes` begins to hold; infinity if it never does."""
    end = start + step
    while math.isfinite(end) and not excludes(end):
        step *= 2
        end = start + step
    return _bisection(start, end, excludes) if math.isfinite(end) else math.inf


def _bisection(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """Point between `low` and `high` at which `holds` begins to hold; it holds at `high`."""
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
