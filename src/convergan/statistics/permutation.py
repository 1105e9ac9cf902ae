"""Permutation tests: whether groups differ, judged by members that change places."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from convergan.statistics.batches import replicates_at_once
from convergan.statistics.multiplicity import holm

PERMUTATIONS = 10_000


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

    The statistic is Welch's t: exact where members are exchangeable, and right in
    large groups also where only the means agree (Janssen 1997; Chung and Romano, Annals of Statistics 41,
    2013, 484-507). The arrangement at hand counts as one of the permutations, so p is never 0 (Phipson and
    Smyth 2010).

    Args:
        first: [members, ...], at least 2.
        second: [members, ...], at least 2.

    Returns:
        [...], from 1 / (permutations + 1) to 1.
    """
    values = np.concatenate([first, second])
    values = values - values.mean(0)  # sums of squares lose fewer digits
    members = np.arange(len(values)) < len(first)
    # Sums in another order differ in their last digits.
    distance = np.abs(_welch(members[None], values))[0] * (1 - 1e-9)
    as_far = 1 + np.zeros(distance.shape)
    step = replicates_at_once(values.size)
    for start in range(0, permutations, step):
        size = min(step, permutations - start)
        chosen = rng.permuted(np.tile(members, (size, 1)), axis=1)
        as_far += (np.abs(_welch(chosen, values)) >= distance).sum(0)
    return as_far / (permutations + 1)


def _welch(chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Welch's t of each row of `chosen`, bool [arrangements, members], true for the first group."""
    first = chosen[0].sum()
    second = len(values) - first
    weights = chosen.astype(float)
    sums, squares = weights @ values, weights @ values**2
    rest, rest_squares = values.sum(0) - sums, (values**2).sum(0) - squares

    def variance_of_mean(total: np.ndarray, of_squares: np.ndarray, size: int) -> np.ndarray:
        return np.maximum(0, of_squares - total**2 / size) / (size - 1) / size

    spread = np.sqrt(
        variance_of_mean(sums, squares, first) + variance_of_mean(rest, rest_squares, second)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (sums / first - rest / second) / spread
    # Where nobody differs from anybody the difference is none.
    return np.where(np.isnan(distance), 0, distance)
