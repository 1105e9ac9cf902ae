"""The answers of timed arms that count, and how long each image really was on the screen."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import FEWEST_TRIALS, TARGET

_USUAL_FRAME_MS = 1000 / 60
_ROUNDING_MS = 1.0


@dataclass(frozen=True, kw_only=True)
class AnswerCounts:
    """Answers of one timed arm to images other than controls: how many count, and why others do not."""

    answers: int
    """Number of answers, those that do not count included."""

    counted: int
    """Number of answers to which the thresholds are fitted."""

    wrong_exposures: int
    """Number of answers left out: the image was shown more than a frame longer or shorter than requested."""

    unrequested: int
    """Number of answers left out because no exposure was requested."""

    unmeasured: int
    """Number of answers that count although their exposure was not measured; the requested exposure is used
    for them."""

    too_few: list[str]
    """Names of the participants without a threshold: all of their answers are left out, as too few are
    usable."""


@dataclass(frozen=True)
class Exposures:
    """The answers of one timed arm."""

    votes: Votes
    """Votes that count, of participants with enough of them, in the order of the trials."""

    shown_ms: np.ndarray
    """float64 [votes]: the measured exposure; the requested one where it was not measured."""

    counts: "AnswerCounts"
    """Numbers of answers that count, and of those that do not."""

    moving: int
    """Number of participants whose staircase has not settled: in the second half of their trials the share
    of right answers differs from the staircase's target, by an exact binomial test at 5 %."""


def exposures_of(votes: Votes) -> dict[str, Exposures]:
    """Collect the exposures of every timed arm, by its name.

    An arm whose images were all to be shown equally long had no staircase, and is not timed.
    """
    judged = votes.judged
    exposures = {}
    for arm in np.unique(judged.arm):
        arm_votes = judged.chosen(judged.arm == arm)
        requested_ms = arm_votes.exposure_ms[~np.isnan(arm_votes.exposure_ms)]
        if requested_ms.size and np.ptp(requested_ms) > 0:
            exposures[str(arm)] = _arm_exposures(arm_votes)
    return exposures


def _arm_exposures(votes: Votes) -> Exposures:
    frame = np.where(np.isnan(votes.frame_ms), _USUAL_FRAME_MS, votes.frame_ms)
    with np.errstate(invalid="ignore"):
        wrong = np.abs(votes.shown_ms - votes.exposure_ms) > frame + _ROUNDING_MS
    requested = votes.exposure_ms > 0
    usable = votes.chosen(~wrong & requested)
    order = np.lexsort((usable.trial, usable.participant))
    usable = usable.chosen(order)
    _, person, counts = np.unique(usable.participant, return_inverse=True, return_counts=True)
    usable = usable.chosen((counts > FEWEST_TRIALS)[person])
    measured = ~np.isnan(usable.shown_ms) & (usable.shown_ms > 0)
    return Exposures(
        votes=usable,
        shown_ms=np.where(measured, usable.shown_ms, usable.exposure_ms),
        counts=AnswerCounts(
            answers=len(votes),
            counted=len(usable),
            wrong_exposures=int((wrong & requested).sum()),
            unrequested=int((~requested).sum()),
            unmeasured=int((~measured).sum()),
            too_few=np.setdiff1d(votes.participant, usable.participant).tolist(),
        ),
        moving=_moving(usable),
    )


def _moving(votes: Votes) -> int:
    """Count the participants whose staircase has not settled."""
    _, starts = np.unique(votes.participant, return_index=True)
    halves = [right[len(right) // 2 :] for right in np.split(~votes.wrong, starts[1:])]
    return sum(
        1
        for half in halves
        if len(half) and binomtest(int(half.sum()), len(half), TARGET).pvalue < SIGNIFICANCE
    )
