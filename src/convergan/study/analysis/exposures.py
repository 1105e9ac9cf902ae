"""Timed arms: which answers count, and for how long each image really was on the screen."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import FEWEST_TRIALS, TARGET

_USUAL_FRAME_MS = 1000 / 60
_ROUNDING_MS = 1.0


@dataclass(frozen=True)
class Exposures:
    """The answers of one timed arm."""

    votes: Votes
    """Those that count, of participants with enough of them, trial by trial."""

    shown_ms: np.ndarray
    """float64 [votes]: as measured; as asked for where nobody measured it."""

    wrong: int
    """Answers left out: the image was shown more than a frame longer or shorter than asked for."""

    unmeasured: int
    """Answers that count although nobody measured how long the image was shown."""

    moving: int
    """Participants whose staircase has not settled: in the second half of their trials the share of right
    answers is not that at which it stays, by an exact binomial test at 5 %."""


def exposures_of(votes: Votes) -> dict[str, Exposures]:
    """Of every timed arm. Where all images of an arm were to be shown equally long, there was no staircase,
    and accuracy is free."""
    judged = votes.judged
    found = {}
    for arm in np.unique(judged.arm):
        here = judged.chosen(judged.arm == arm)
        asked = here.exposure_ms[~np.isnan(here.exposure_ms)]
        if asked.size and np.ptp(asked) > 0:
            found[str(arm)] = _of_arm(here)
    return found


def _of_arm(votes: Votes) -> Exposures:
    frame = np.where(np.isnan(votes.frame_ms), _USUAL_FRAME_MS, votes.frame_ms)
    with np.errstate(invalid="ignore"):
        off = np.abs(votes.shown_ms - votes.exposure_ms) > frame + _ROUNDING_MS
    usable = votes.chosen(~off & (votes.exposure_ms > 0))
    order = np.lexsort((usable.trial, usable.participant))
    usable = usable.chosen(order)
    _, person, counts = np.unique(usable.participant, return_inverse=True, return_counts=True)
    usable = usable.chosen((counts > FEWEST_TRIALS)[person])
    measured = ~np.isnan(usable.shown_ms) & (usable.shown_ms > 0)
    return Exposures(
        votes=usable,
        shown_ms=np.where(measured, usable.shown_ms, usable.exposure_ms),
        wrong=int(off.sum()),
        unmeasured=int((~measured).sum()),
        moving=_moving(usable),
    )


def _moving(votes: Votes) -> int:
    _, starts = np.unique(votes.participant, return_index=True)
    halves = [right[len(right) // 2 :] for right in np.split(~votes.wrong, starts[1:])]
    return sum(
        1
        for half in halves
        if len(half) and binomtest(int(half.sum()), len(half), TARGET).pvalue < SIGNIFICANCE
    )
