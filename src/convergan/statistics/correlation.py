"""Rank correlation: whether two numbers order the same things alike."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, permutation_test, rankdata, spearmanr

from convergan.statistics.batches import replicates_at_once
from convergan.statistics.intervals import Interval
from convergan.statistics.levels import LEVEL

PERMUTATIONS = 10_000

_MANY = 500  # from here on Student's t is as good as permutations, says spearmanr


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation."""

    rho: float
    """-1 to 1; above 0: the higher one, the higher the other."""

    p_value: float
    """Two-sided, of no correlation."""

    interval: Interval | None
    """95 %; None with fewer than 10, where the approximation does not hold."""

    size: int
    """How many were ranked."""


def rank_correlation(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator
) -> Correlation | None:
    """Spearman's correlation of two numbers of each of n things.

    p is of all arrangements up to n = 7, of 10,000 drawn ones below 500, of Student's t from there on. The
    interval is Fisher's, with the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and Wright
    (Psychometrika 65, 2000, 23-28).

    Args:
        first: [n]
        second: [n]
        rng: of the permutations.

    Returns:
        None with fewer than three, or where all of one number are equal: there is no ranking.
    """
    size = len(first)
    if size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    known = spearmanr(first, second)
    rho, p_value = float(known.statistic), float(known.pvalue)
    if size < _MANY:
        p_value = _permutation_p_value(first, second, rng)
    return Correlation(rho, p_value, _interval(rho, size), size)


def _permutation_p_value(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> float:
    ranks, others = _centred_ranks(first), _centred_ranks(second)

    def distance(shuffled: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(np.tensordot(shuffled, ranks, (axis, 0)))

    found = permutation_test(
        (others,),
        distance,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=replicates_at_once(len(ranks)),
        alternative="greater",
        rng=rng,
    )
    return float(found.pvalue)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (mean ranks of ties) less their mean: halves, whose products and sums floats hold exactly."""
    return rankdata(values) - (len(values) + 1) / 2


def _interval(rho: float, size: int) -> Interval | None:
    if size < 10:
        return None
    reach = norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + rho**2 / 2) / (size - 3))
    centre = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    return Interval(math.tanh(centre - reach), math.tanh(centre + reach))
