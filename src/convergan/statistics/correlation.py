"""Rank correlation: agreement of the orders in which two numbers put the same things."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, permutation_test, rankdata, spearmanr

from convergan.statistics.bootstrap import replicates_at_once
from convergan.statistics.intervals import Interval
from convergan.statistics.levels import LEVEL

PERMUTATIONS = 10_000

_PERMUTATION_LIMIT = 500
"""Size from which on Student's t is as good as permutations, by the documentation of `spearmanr`."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation."""

    rho: float
    """Correlation, -1 to 1; above 0: the higher one number, the higher the other."""

    p_value: float
    """Two-sided p-value of no correlation."""

    interval: Interval | None
    """Confidence interval of 95 %; None if fewer than 10 are ranked: the approximation does not hold then."""

    size: int
    """Number of things that were ranked."""


def rank_correlation(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator
) -> Correlation | None:
    """Compute Spearman's correlation of two numbers of each of n things.

    The p-value comes from all permutations up to n = 7, from 10,000 random ones below n = 500, and from
    Student's t from there on. The interval is Fisher's, with the standard error
    sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and Wright (Psychometrika 65, 2000, 23-28).

    Args:
        first: the first number of each thing, [n].
        second: the second number of each thing, [n].
        rng: source of the permutations.

    Returns:
        The correlation; None if n is below 3, or if all values of one number are equal and give no ranking.
    """
    size = len(first)
    if size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    result = spearmanr(first, second)
    rho, p_value = float(result.statistic), float(result.pvalue)
    if size < _PERMUTATION_LIMIT:
        p_value = _permutation_p_value(first, second, rng)
    return Correlation(rho, p_value, _interval(rho, size), size)


def _permutation_p_value(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> float:
    ranks, second_ranks = _centred_ranks(first), _centred_ranks(second)

    def distance(shuffled: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(np.tensordot(shuffled, ranks, (axis, 0)))

    result = permutation_test(
        (second_ranks,),
        distance,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=replicates_at_once(len(ranks)),
        alternative="greater",
        rng=rng,
    )
    return float(result.pvalue)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (mean ranks of ties) less their mean: multiples of 1/2, whose products and sums are exact."""
    return rankdata(values) - (len(values) + 1) / 2


def _interval(rho: float, size: int) -> Interval | None:
    if size < 10:
        return None
    reach = norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + rho**2 / 2) / (size - 3))
    centre = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    return Interval(math.tanh(centre - reach), math.tanh(centre + reach))
