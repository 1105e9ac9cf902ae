"""The bootstrap: simulation of other samples of the same size.

A replicate draws as many members of a sample as it has, with replacement. It is described by its counts: how
often each member was drawn.

Source: Efron, Annals of Statistics 7 (1979), 1-26.
"""

from collections.abc import Sequence

import numpy as np

REPLICATES = 10_000

_NUMBERS_AT_ONCE = 4_000_000
"""Size of batches of replicates, so that memory does not grow with their number."""


def replicates_at_once(numbers: int) -> int:
    """Number of replicates, of `numbers` float64 each, that take about 32 MB; at least 1."""
    return max(1, _NUMBERS_AT_ONCE // numbers)


def draw_counts(members: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of each member in replicates of a sample: int64 [replicates, members]."""
    draws = rng.integers(members, size=(replicates, members))
    draws += members * np.arange(replicates)[:, None]
    return np.bincount(draws.ravel(), minlength=replicates * members).reshape(replicates, members)


def draw_grouped_counts(
    groups: Sequence[np.ndarray], members: int, replicates: int, rng: np.random.Generator
) -> np.ndarray:
    """Counts of each member in replicates that are drawn within groups: int64 [replicates, members].

    Args:
        groups: indices of each group's members, 0 to `members` - 1; every member is in one group.
        members: number of members of all groups.
        replicates: number of replicates.
        rng: source of the draws.
    """
    counts = np.empty((replicates, members), dtype=np.int64)
    for group in groups:
        counts[:, group] = draw_counts(len(group), replicates, rng)
    return counts


def mean_replicates(
    values: np.ndarray, rng: np.random.Generator, replicates: int = REPLICATES
) -> np.ndarray:
    """Means over members in bootstrap replicates.

    If measurements are clustered, a member is a whole cluster and its value a mean, such as a participant's
    share of right answers.

    Args:
        values: one or several numbers of each member, [members, ...]; NaN if unknown.
        rng: source of the draws.
        replicates: number of replicates.

    Returns:
        Means, [replicates, ...]; NaN if a replicate has no member with a known number.
    """
    is_known = ~np.isnan(values)
    filled = np.where(is_known, values, 0)
    means = np.empty((replicates, *values.shape[1:]))
    step = replicates_at_once(len(values))
    for start in range(0, replicates, step):
        part = means[start : start + step]
        counts = draw_counts(len(values), len(part), rng).astype(float)
        with np.errstate(invalid="ignore"):
            part[...] = (counts @ filled) / (counts @ is_known)
    return means
