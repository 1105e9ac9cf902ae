"""Confidence intervals: of shares, from variances, from bootstrap replicates, of differences and sums."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convergan.statistics.levels import LEVEL


class Interval(NamedTuple):
    """Interval from `low` to `high`."""

    low: float
    high: float


ANY_NUMBER = Interval(-math.inf, math.inf)


def wilson(count: int, size: int, level: float = LEVEL) -> Interval:
    """Wilson's interval of a share of independent trials.

    With p = count / size, n = size and z the normal quantile of (1 + level) / 2:

        [p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)] / (1 + z^2 / n)

    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209-212.

    Args:
        count: number of successes, 0 to `size`.
        size: number of trials, at least 1.
        level: level of the interval, 0 to 1.
    """
    # scipy.stats takes long to load, and a training needs it only at its end.
    from scipy.stats import binomtest

    proportion = binomtest(count, size).proportion_ci(level, method="wilson")
    return Interval(float(proportion.low), float(proportion.high))


def expanded_percentiles(
    replicates: np.ndarray, clusters: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Expanded percentile intervals from bootstrap replicates.

    Percentiles of a bootstrap of n clusters are too close together by a factor of sqrt((n - 1) / n), and do
    not allow for Student's t. They are therefore taken at Phi(sqrt(n / (n - 1)) t(a / 2; n - 1)) in place of
    a / 2 = (1 - level) / 2: for n = 40 and 95 % at 2.0 % in place of 2.5 %.

    Source: Hesterberg, What teachers should know about the bootstrap, The American Statistician 69 (2015),
    371-386.

    Args:
        replicates: replicates of one or several numbers, [replicates, ...]; NaN is left out.
        clusters: n, the number of clusters that were resampled, at least 2; the smaller number if there are
            two kinds of clusters.
        level: level of the intervals, 0 to 1.

    Returns:
        The lower and the upper ends, [...] each.
    """
    from scipy.stats import norm, t

    student = t.ppf((1 - level) / 2, clusters - 1)
    tail = norm.cdf(math.sqrt(clusters / (clusters - 1)) * student)
    low, high = np.nanquantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def expanded_percentile_interval(replicates: np.ndarray, clusters: int) -> Interval | None:
    """Expanded percentile interval of one number at 95 %; see `expanded_percentiles`.

    Args:
        replicates: replicates of the number, [replicates]; NaN is left out.
        clusters: number of clusters that were resampled; the smaller one if there are two kinds.

    Returns:
        The interval; None with fewer than two clusters, which have no variance.
    """
    if clusters < 2:
        return None
    low, high = expanded_percentiles(replicates, clusters)
    return Interval(float(low), float(high))


def student_interval(
    value: float, variance: float, degrees_of_freedom: float, possible: Interval = ANY_NUMBER
) -> Interval:
    """Student's interval value -+ t sqrt(variance) at 95 %, where t is Student's quantile.

    Args:
        value: the estimate.
        variance: estimated variance of the estimate, 0 or more.
        degrees_of_freedom: degrees of freedom of the variance; with infinity t is the normal quantile.
        possible: the lowest and the highest possible value.
    """
    half = _student_quantile(degrees_of_freedom) * math.sqrt(variance)
    return holding(value, value - half, value + half, possible)


def effective_wilson(
    share: float, variance: float, size: int, degrees_of_freedom: float = math.inf
) -> Interval:
    """Wilson's interval of a share of trials that are not independent, at 95 %.

    The effective size p (1 - p) / variance is the number of independent trials with which the share p would
    have this variance. For a share of 0 or 1, or one without variance, it is the size of the sample.
    Student's quantile replaces the normal one.

    Source: Korn and Graubard, Survey Methodology 24 (1998), 193-201.

    Args:
        share: the estimated share, 0 to 1.
        variance: estimated variance of the share, 0 or more.
        size: number of trials, at least 1.
        degrees_of_freedom: degrees of freedom of the variance.
    """
    effective = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else float(size)
    squared = _student_quantile(degrees_of_freedom) ** 2
    middle = share + squared / (2 * effective)
    half = math.sqrt(squared * share * (1 - share) / effective + squared**2 / (4 * effective**2))
    denominator = 1 + squared / effective
    return holding(
        share, (middle - half) / denominator, (middle + half) / denominator, Interval(0, 1)
    )


def holding(value: float, low: float, high: float, possible: Interval = ANY_NUMBER) -> Interval:
    """Interval limited to possible values; it contains `value` even after rounding."""
    low, high = max(possible.low, low), min(possible.high, high)
    return Interval(min(low, value), max(high, value))


def _student_quantile(degrees_of_freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, degrees_of_freedom))


def interval_of_difference(
    first: float,
    first_interval: Interval,
    second: float,
    second_interval: Interval,
    correlation: float = 0.0,
) -> Interval:
    """Interval of first - second, from the intervals of the two estimates.

    With (l1, u1) and (l2, u2) around a and b, and r their correlation:

        a - b - sqrt((a - l1)^2 + (u2 - b)^2 - 2 r (a - l1) (u2 - b)),
        a - b + sqrt((u1 - a)^2 + (b - l2)^2 - 2 r (u1 - a) (b - l2))

    Source: Zou and Donner, Statistics in Medicine 27 (2008), 1693-1702; with the correlation, Zou,
    Psychological Methods 12 (2007), 399-413.
    """

    def length(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a**2 + b**2 - 2 * correlation * a * b))

    difference = first - second
    lower_distance = length(first - first_interval.low, second_interval.high - second)
    upper_distance = length(first_interval.high - first, second - second_interval.low)
    return Interval(difference - lower_distance, difference + upper_distance)


def interval_of_sum(
    values: Sequence[float] | np.ndarray, intervals: Sequence[Interval], correlation: float
) -> Interval:
    """Interval of the sum of two estimates, as that of the first less the negative of the second.

    See `interval_of_difference`.
    """
    first, second = map(float, values)
    low, high = intervals[1]
    return interval_of_difference(first, intervals[0], -second, Interval(-high, -low), -correlation)


def p_value_of_interval(difference: float, interval: Interval) -> float:
    """Two-sided p-value of no difference, from an interval of 95 %: below 0.05 exactly if it excludes 0.

    The distance from the difference to the end of the interval nearer to 0 is taken as 1.96 standard
    deviations.

    Args:
        difference: the estimated difference.
        interval: its interval of 95 %.
    """
    from scipy.stats import norm

    if difference == 0:
        return 1.0
    low, high = interval
    towards_zero = difference - low if difference > 0 else high - difference
    if math.isnan(towards_zero):
        return 1.0
    if towards_zero <= 0:
        return 0.0
    deviations = abs(difference) / towards_zero * norm.ppf((1 + LEVEL) / 2)
    return float(2 * norm.sf(deviations))
