"""Intervals: of a share, from a variance, from the replicates of a bootstrap, and of a difference."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convergan.statistics.levels import LEVEL


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


ANY_NUMBER = Interval(-math.inf, math.inf)


def wilson(count: int, size: int, level: float = LEVEL) -> Interval:
    """The interval of a share, of independent trials.

    With p = count / size, n = size and z the normal quantile of (1 + level) / 2:

        [p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)] / (1 + z^2 / n)

    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209-212.

    Args:
        count: 0 to `size`.
        size: at least 1.
        level: 0 to 1.
    """
    # scipy.stats takes long to load, and a training needs it at its end alone.
    from scipy.stats import binomtest

    found = binomtest(count, size).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high))


def expanded_percentiles(
    replicates: np.ndarray, clusters: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """The expanded percentile interval of a bootstrap.

    Percentiles of a bootstrap of n clusters are too close together by a factor of sqrt((n - 1) / n), and
    know nothing of Student's t. Here the tail a / 2 = (1 - level) / 2 gives way to
    Phi(sqrt(n / (n - 1)) t(a / 2; n - 1)): at n = 40 and 95 % to 2.0 % in place of 2.5 %.

    Source: Hesterberg, What teachers should know about the bootstrap, The American Statistician 69 (2015),
    371-386.

    Args:
        replicates: [replicates, ...]; NaN is left out.
        clusters: n, at least 2: what was drawn anew; of two kinds of clusters, the fewer.
        level: 0 to 1.

    Returns:
        low [...], high [...].
    """
    from scipy.stats import norm, t

    student = t.ppf((1 - level) / 2, clusters - 1)
    tail = norm.cdf(math.sqrt(clusters / (clusters - 1)) * student)
    low, high = np.nanquantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def expanded_percentile_interval(replicates: np.ndarray, clusters: int) -> Interval | None:
    """The `expanded_percentiles` of one number at 95 %.

    Args:
        replicates: [replicates]; NaN is left out.
        clusters: what was drawn anew; of two kinds of clusters, the fewer.

    Returns:
        None with fewer than two clusters: one says nothing of others.
    """
    if clusters < 2:
        return None
    low, high = expanded_percentiles(replicates, clusters)
    return Interval(float(low), float(high))


def student_interval(
    value: float, variance: float, degrees_of_freedom: float, possible: Interval = ANY_NUMBER
) -> Interval:
    """value -+ t sqrt(variance), at 95 %, where t is Student's quantile.

    Args:
        value: of the sample.
        variance: of that number, 0 or more, as far as it is known.
        degrees_of_freedom: of the variance; infinity makes t the normal quantile.
        possible: the lowest and the highest number that there can be.
    """
    half = _student_quantile(degrees_of_freedom) * math.sqrt(variance)
    return holding(value, value - half, value + half, possible)


def effective_wilson(
    share: float, variance: float, size: int, degrees_of_freedom: float = math.inf
) -> Interval:
    """Wilson's interval of a share of trials that are not independent, at 95 %.

    The share p has the variance that it would have of p (1 - p) / variance independent trials, the effective
    size. Of a share of 0 or 1, or one that does not vary, the effective size is that of the sample. Student's
    quantile takes the place of the normal one.

    Source: Korn and Graubard, Survey Methodology 24 (1998), 193-201.

    Args:
        share: 0 to 1.
        variance: of the share, 0 or more.
        size: of the sample, at least 1.
        degrees_of_freedom: of the variance.
    """
    effective = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else float(size)
    squared = _student_quantile(degrees_of_freedom) ** 2
    middle = share + squared / (2 * effective)
    half = math.sqrt(squared * share * (1 - share) / effective + squared**2 / (4 * effective**2))
    whole = 1 + squared / effective
    return holding(share, (middle - half) / whole, (middle + half) / whole, Interval(0, 1))


def holding(value: float, low: float, high: float, possible: Interval = ANY_NUMBER) -> Interval:
    """An interval within what is possible; whatever is rounded, the number itself is in it."""
    low, high = max(possible.low, low), min(possible.high, high)
    return Interval(min(low, value), max(high, value))


def _student_quantile(degrees_of_freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, degrees_of_freedom))


def interval_of_difference(
    first: float,
    of_first: Interval,
    second: float,
    of_second: Interval,
    correlation: float = 0.0,
) -> Interval:
    """The interval of first - second, from the intervals of the two estimates.

    With (l1, u1) and (l2, u2) around a and b, and r their correlation:

        a - b - sqrt((a - l1)^2 + (u2 - b)^2 - 2 r (a - l1) (u2 - b)),
        a - b + sqrt((u1 - a)^2 + (b - l2)^2 - 2 r (u1 - a) (b - l2))

    Source: Zou and Donner, Statistics in Medicine 27 (2008), 1693-1702; with the correlation, Zou,
    Psychological Methods 12 (2007), 399-413.
    """

    def length(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))

    difference = first - second
    below = length(first - of_first.low, of_second.high - second)
    above = length(of_first.high - first, second - of_second.low)
    return Interval(difference - below, difference + above)


def interval_of_sum(
    values: Sequence[float] | np.ndarray, of_values: Sequence[Interval], correlation: float
) -> Interval:
    """The interval of a sum of two estimates: that of the first less the second's negative; see
    `interval_of_difference`."""
    first, second = map(float, values)
    low, high = of_values[1]
    return interval_of_difference(first, of_values[0], -second, Interval(-high, -low), -correlation)


def p_value_of_interval(difference: float, of_difference: Interval) -> float:
    """The p-value of no difference that an interval of 95 % stands for: below .05 where it leaves 0 out.

    The distance from the difference to that end which is towards 0 is taken for 1.96 standard deviations.
    """
    from scipy.stats import norm

    if difference == 0:
        return 1.0
    low, high = of_difference
    towards_zero = difference - low if difference > 0 else high - difference
    if math.isnan(towards_zero):
        return 1.0
    if towards_zero <= 0:
        return 0.0
    deviations = abs(difference) / towards_zero * norm.ppf((1 + LEVEL) / 2)
    return float(2 * norm.sf(deviations))
