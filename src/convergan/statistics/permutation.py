"""Permutation tests: whether groups differ, judged by members that change places."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import permutation_test

from convergan.statistics.batches import replicates_at_once
from convergan.statistics.multiplicity import holm

PERMUTATIONS = 10_000

_FARTHEST = 1e9


@dataclass(frozen=True)
class Pair:
    """Two groups, compared."""

    first: str
    second: str

    p_value: float | None
    """None where one of the two has fewer than two members."""

    p_holm: float | None


def compare_all(groups: Mapping[str, np.ndarray], rng: np.random.Generator) -> list[Pair]:
    """Every group with every later one; p-values corrected over all of them."""
    pairs = list(combinations(groups, 2))
    p_values = [
        float(permutation_p_value(groups[first], groups[second], rng))
        if min(len(groups[first]), len(groups[second])) >= 2
        else None
        for first, second in pairs
    ]
    corrected = iter(holm(np.array([p for p in p_values if p is not None])).tolist())
    return [
        Pair(first, second, p_value, None if p_value is None else next(corrected))
        for (first, second), p_value in zip(pairs, p_values, strict=True)
    ]


def permutation_p_value(
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> np.ndarray:
    """Two-sided p-value of no difference between the means of two groups.

    The statistic is Welch's t: right where members are exchangeable, and in large groups also where only the
    means agree (Janssen 1997; Chung and Romano, Annals of Statistics 41, 2013, 484-507). Where there are no
    more arrangements than `permutations`, all are tried: up to 7 members in each of two groups, 3,432
    arrangements. Otherwise so many are drawn, and the one at hand counts as one more, so that p is never 0
    (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010, 39).

    Args:
        first: [members, ...], at least 2.
        second: [members, ...], at least 2.
        rng: of the permutations.
        permutations: how many are drawn.

    Returns:
        [...], above 0, at most 1.
    """
    found = permutation_test(
        (first, second),
        _welch_distance,
        vectorized=True,
        n_resamples=permutations,
        batch=replicates_at_once(first.size + second.size),
        alternative="greater",
        axis=0,
        rng=rng,
    )
    return found.pvalue


def _welch_distance(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    """|t| of Welch's test, at most `_FARTHEST`, to 9 decimals.

    Arrangements that are equally far must be equal in floats too, whose sums in another order are not; and no
    distance may be infinite, as SciPy compares within a share of it.
    """
    difference = first.mean(axis) - second.mean(axis)
    error = np.sqrt(_squared_error(first, axis) + _squared_error(second, axis))
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(difference) / error
    # Where nobody differs from anybody the difference is none.
    return np.minimum(np.nan_to_num(distance, nan=0.0), _FARTHEST).round(9)


def _squared_error(values: np.ndarray, axis: int) -> np.ndarray:
    return values.var(axis, ddof=1) / values.shape[axis]
