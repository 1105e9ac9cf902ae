"""Intervals: from the replicates of a bootstrap, and the naive one of a share of votes."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, t

LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over participants, with 95 % intervals; None where there is none to be had."""

    value: float

    participants: Interval | None
    """Other participants, the same images."""

    participants_and_images: Interval | None = None
    """Other participants and other images."""

    naive: Interval | None = None
    """As if all votes were independent of each other."""


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
        clusters: n, at least 2: the participants, or, of two kinds of clusters, the fewer.
        level: 0 to 1.

    Returns:
        low [...], high [...].
    """
    student = t.ppf((1 - level) / 2, clusters - 1)
    tail = norm.cdf(math.sqrt(clusters / (clusters - 1)) * student)
    low, high = np.nanquantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def wilson(hits: int, votes: int, level: float = LEVEL) -> Interval:
    """The interval of a share of votes as if no two came from one participant (Wilson 1927).

    Naive: votes of one participant, and votes on one image, are alike.
    """
    found = binomtest(hits, votes).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
