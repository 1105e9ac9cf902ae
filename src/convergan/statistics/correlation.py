"""Rank correlation: whether two numbers order the same things alike."""

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import LEVEL
from convergan.statistics.permutation import PERMUTATIONS

_ALL_ARRANGEMENTS = 7  # up to so many, all 5,040 are tried
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

    p is exact up to 7, by 10,000 permutations up to 500, by Student's t above. The interval is Fisher's, with
    the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and Wright (Psychometrika 65, 2000, 23-28).

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
    ranks, others = _unit_ranks(first), _unit_ranks(second)
    rho = float(ranks @ others)
    if size >= _MANY:
        p_value = float(spearmanr(first, second).pvalue)
    elif size <= _ALL_ARRANGEMENTS:
        arrangements = np.array(list(permutations(others)))
        p_value = float(_as_far(arrangements @ ranks, rho).mean())
    else:
        arrangements = rng.permuted(np.tile(others, (PERMUTATIONS, 1)), axis=1)
        found = _as_far(arrangements @ ranks, rho).sum()
        p_value = float((1 + found) / (1 + PERMUTATIONS))
    return Correlation(rho, p_value, _interval(rho, size), size)


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (mean ranks of ties) of mean 0 and length 1: a product of two is their correlation."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    return ranks / np.linalg.norm(ranks)


def _as_far(found: np.ndarray, rho: float) -> np.ndarray:
    return np.abs(found) >= abs(rho) - 1e-9


def _interval(rho: float, size: int) -> Interval | None:
    if size < 10:
        return None
    reach = norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + rho**2 / 2) / (size - 3))
    centre = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    return Interval(math.tanh(centre - reach), math.tanh(centre + reach))
