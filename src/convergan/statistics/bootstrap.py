"""The bootstrap: what other samples of the same size would have given.

Members of a sample are drawn with replacement as often as there are. All that matters of a replicate is how
often it holds each of them: its counts.

Source: Efron, Annals of Statistics 7 (1979), 1-26.
"""

from collections.abc import Sequence

import numpy as np

from convergan.statistics.batches import replicates_at_once

REPLICATES = 10_000


def draw_counts(members: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each member is drawn when as many are drawn with replacement: int64 [replicates, members]."""
    drawn = rng.integers(members, size=(replicates, members))
    drawn += members * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * members).reshape(replicates, members)


def draw_grouped_counts(
    groups: Sequence[np.ndarray], members: int, replicates: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each member is drawn where every group is drawn among itself: int64 [replicates, members].

    Args:
        groups: the places of each group's members, 0 to `members` - 1, each in one group.
        members: of all groups.
        replicates: how many.
        rng: of the draws.
    """
    counts = np.empty((replicates, members), dtype=np.int64)
    for group in groups:
        counts[:, group] = draw_counts(len(group), replicates, rng)
    return counts


def mean_replicates(
    values: np.ndarray, rng: np.random.Generator, replicates: int = REPLICATES
) -> np.ndarray:
    """Means over members drawn anew. Where measurements cluster, a member is a whole cluster and its value a
    mean, such as a participant's share of right answers.

    Args:
        values: [members, ...], one or several numbers of each member, NaN where unknown.
        rng: of the draws.
        replicates: how many.

    Returns:
        [replicates, ...]; NaN where a replicate drew nobody whose number is known.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0)
    found = np.empty((replicates, *values.shape[1:]))
    step = replicates_at_once(len(values))
    for start in range(0, replicates, step):
        part = found[start : start + step]
        counts = draw_counts(len(values), len(part), rng).astype(float)
        with np.errstate(invalid="ignore"):
            part[...] = (counts @ filled) / (counts @ known)
    return found
