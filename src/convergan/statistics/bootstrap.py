"""The participant bootstrap: what other participants would have given on these images."""

import numpy as np

REPLICATES = 10_000

_NUMBERS_AT_ONCE = 4_000_000
"""So many counts are held in memory, however many participants there are."""


def draw_counts(members: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each member is drawn when as many are drawn with replacement: int64 [replicates, members]."""
    drawn = rng.integers(members, size=(replicates, members))
    drawn += members * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * members).reshape(replicates, members)


def participant_replicates(
    rates: np.ndarray, rng: np.random.Generator, replicates: int = REPLICATES
) -> np.ndarray:
    """Means over resampled participants (Efron 1979; the cluster is the participant).

    Args:
        rates: [participants, ...], one or several numbers of each participant, NaN where unknown.

    Returns:
        [replicates, ...]; NaN where a replicate drew nobody whose number is known.
    """
    known = ~np.isnan(rates)
    values = np.where(known, rates, 0)
    found = np.empty((replicates, *rates.shape[1:]))
    step = max(1, _NUMBERS_AT_ONCE // len(rates))
    for start in range(0, replicates, step):
        part = found[start : start + step]
        counts = draw_counts(len(rates), len(part), rng).astype(float)
        with np.errstate(invalid="ignore"):
            part[...] = (counts @ values) / (counts @ known)
    return found
