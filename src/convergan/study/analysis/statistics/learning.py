"""Learning: the increase of accuracy over the trials, which feedback brings about in the paper."""

from dataclasses import dataclass

import numpy as np

from convergan.study.analysis.votes import Votes

BLOCK_TRIALS = 10
"""Default length of a block of the learning curve, in trials."""


@dataclass(frozen=True)
class Learning:
    """Accuracy of each participant of an arm, block by block."""

    first_trial: np.ndarray
    """int [blocks]: number of the first trial of each block, from 1."""

    last_trial: np.ndarray
    """int [blocks]: number of the last trial of each block."""

    accuracy: np.ndarray
    """float64 [participants, blocks], NaN where a participant gave no answer."""

    gain: np.ndarray
    """float64 [participants]: accuracy in the second half of the trials minus that in the first."""


def learning(votes: Votes, block_trials: int = BLOCK_TRIALS) -> Learning:
    """Compute the learning curve of one arm, by blocks of trials; the last block may be shorter."""
    last = int(votes.trial.max())
    first_trial = np.arange(1, last + 1, block_trials)
    halves = _accuracy(votes, (2 * votes.trial > last + 1).astype(int), 2)
    return Learning(
        first_trial=first_trial,
        last_trial=np.minimum(first_trial + block_trials - 1, last),
        accuracy=_accuracy(votes, (votes.trial - 1) // block_trials, len(first_trial)),
        gain=halves[:, 1] - halves[:, 0],
    )


def _accuracy(votes: Votes, block: np.ndarray, blocks: int) -> np.ndarray:
    """Compute the accuracy of each participant in each block: float64 [participants, blocks]."""
    participants, row = np.unique(votes.participant, return_inverse=True)
    shape = len(participants), blocks
    place = row * blocks + block
    trials = np.bincount(place, minlength=shape[0] * shape[1])
    right = np.bincount(place[~votes.wrong], minlength=shape[0] * shape[1])
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no answer in this block
        return (right / trials).reshape(shape)
