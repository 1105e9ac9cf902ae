"""Intervals: of a share, from the replicates of a bootstrap, and of a difference."""

import math
from typing import NamedTuple

import numpy as np

from convergan.statistics.levels import LEVEL


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


ANY_NUMBER = Interval(-math.inf, math.inf)

_FEWEST_FOR_QUANTILES = 200


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


def centred_interval(
    value: float, replicates: np.ndarray, possible: Interval = ANY_NUMBER
) -> Interval | None:
    """The spread of replicates, put around the number itself, at 95 %.

    Numbers such as FID are higher on replicates than on the sample, as drawing twice adds its own noise: so
    replicates are taken less their mean. By their quantiles, or, of fewer than 200, by their standard
    deviation and Student's t.

    Args:
        value: of the sample.
        replicates: [r]. Those that are not finite are left out: KID of a single image, drawn again and
            again, say.
        possible: the lowest and the highest number that there can be.

    Returns:
        None where fewer than 2 replicates are finite, or `value` is not.
    """
    replicates = replicates[np.isfinite(replicates)]
    if len(replicates) < 2 or not math.isfinite(value):
        return None
    tail = (1 - LEVEL) / 2
    if len(replicates) >= _FEWEST_FOR_QUANTILES:
        low, high = np.quantile(replicates, [tail, 1 - tail]) - replicates.mean()
    else:
        from scipy.stats import t

        high = t.ppf(1 - tail, len(replicates) - 1) * replicates.std(ddof=1)
        low = -high
    return Interval(max(possible.low, float(value + low)), min(possible.high, float(value + high)))


def interval_of_difference(
    first: float, of_first: Interval, second: float, of_second: Interval
) -> Interval:
    """The interval of first - second, from the intervals of two independent estimates.

    With (l1, u1) and (l2, u2) around a and b:

        a - b - sqrt((a - l1)^2 + (u2 - b)^2),  a - b + sqrt((u1 - a)^2 + (b - l2)^2)

    Source: Zou and Donner, Statistics in Medicine 27 (2008), 1693-1702.
    """
    difference = first - second
    below = math.hypot(first - of_first.low, of_second.high - second)
    above = math.hypot(of_first.high - first, second - of_second.low)
    return Interval(difference - below, difference + above)
