"""Whether a score of images, or of sets of images, ranks them as people do."""

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from convergan.statistics.intervals import LEVEL, Interval

_ALL_ARRANGEMENTS = 7  # up to so many, all 5,040 are tried
_MANY = 500  # from here on Student's t is as good as permutations, says spearmanr
_PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation."""

    rho: float
    """-1 to 1; above 0: the higher the score, the more people err."""

    p_value: float
    """Two-sided, of no correlation."""

    interval: Interval | None
    """95 %; None with fewer than 10, where the approximation does not hold."""

    size: int
    """How many were ranked."""


def rank_correlation(
    scores: np.ndarray, errors: np.ndarray, rng: np.random.Generator
) -> Correlation | None:
    """Spearman's correlation of scores with people's errors.

    p is exact up to 7, by 10,000 permutations up to 500, by Student's t above. The interval is Fisher's, with
    the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and Wright (Psychometrika 65, 2000, 23-28).

    Args:
        scores: [n]
        errors: [n]

    Returns:
        None with fewer than three, or where all scores or all errors are equal: there is no ranking.
    """
    size = len(scores)
    if size < 3 or np.ptp(scores) == 0 or np.ptp(errors) == 0:
        return None
    first, second = _unit_ranks(scores), _unit_ranks(errors)
    rho = float(first @ second)
    if size >= _MANY:
        p_value = float(spearmanr(scores, errors).pvalue)
    elif size <= _ALL_ARRANGEMENTS:
        arrangements = np.array(list(permutations(second)))
        p_value = float(_as_far(arrangements @ first, rho).mean())
    else:
        arrangements = rng.permuted(np.tile(second, (_PERMUTATIONS, 1)), axis=1)
        found = _as_far(arrangements @ first, rho).sum()
        p_value = float((1 + found) / (1 + _PERMUTATIONS))
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
    return math.tanh(centre - reach), math.tanh(centre + reach)
