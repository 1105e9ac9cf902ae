"""Intervals of squared distances, as FID and KID are: near 0 they are neither normal nor of one variance."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from convergan.statistics.intervals import Interval, holding
from convergan.statistics.levels import LEVEL

_ERRORS_TOWARDS, _ERRORS_AWAY = -1.0, 0.5
"""Standard errors by which the variance of a difference is raised, at the end of its interval nearer to 0 and
at the other end."""

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
        """Share of estimates of `distance` that count as too low; the rest of 5 % count as too high.

        It is half of 5 %. If t is known not to be below 0, it is smaller the nearer `distance` is to 0,
        compared with chance or with the growth of the variance. It is 0 at 0, as no low estimate speaks
        against t = 0.
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


@dataclass(frozen=True)
class DifferenceSpread:
    """Variation of the difference of two squared distances from one point, such as a reference.

    With u the difference of the means of two sets, and v their sum less twice the mean of the reference, the
    difference of the distances is u . v. If both sets are of one kind, u is chance alone and independent of
    v: the difference is then normal, with a variance due to u that the sample's v gives exactly. Otherwise
    the chance of v, times the part of u that is not chance, adds to the variance. The sample's u estimates
    this part with an error of its own.
    """

    by_first: float
    """Variance due to the chance of u, given the sample's v."""
    by_second: float
    """Variance due to the chance of v, given the sample's u."""
    by_chance: float
    """Mean of `by_second` if both sets are of one kind."""
    error: float
    """Standard deviation of `by_second` if both sets are of one kind."""

    def variance(self, errors: float) -> float:
        """Variance of the difference if `by_second` is too low by `errors` of its standard deviations."""
        excess = self.by_second - self.by_chance + errors * self.error
        return self.by_first + max(0.0, excess)


def interval_of_difference_of_distances(difference: float, spread: DifferenceSpread) -> Interval:
    """Interval of the difference of two squared distances at 95 %, normal at either end.

    At the end nearer to 0, `by_second` counts only as far as it exceeds its mean under chance by more than
    one standard deviation, since sets of one kind differ by 0. At the other end it is taken as half a
    standard deviation too low, since larger differences vary more. In simulations of sums of squares, 92 to
    98 % of these intervals contained the truth.
    """

    def length(errors: float) -> float:
        return _quantile((1 + LEVEL) / 2, 0.0) * math.sqrt(spread.variance(errors))

    size, outer = abs(difference), length(_ERRORS_AWAY)
    inner = length(_ERRORS_TOWARDS)
    near_end = size - (inner if inner < size else outer)
    low, high = holding(size, near_end, size + outer)
    return Interval(low, high) if difference >= 0 else Interval(-high, -low)


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
