"""The participant bootstrap: what other participants would have given on these images."""

import numpy as np

REPLICATES = 10_000


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
    counts = draw_counts(len(rates), replicates, rng).astype(float)
    known = ~np.isnan(rates)
    with np.errstate(invalid="ignore"):
        return (counts @ np.where(known, rates, 0)) / (counts @ known)
