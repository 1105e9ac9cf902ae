"""What some data cannot tell, by name."""

import math

import numpy as np

from convergan.study.rates import Rates
from convergan.study.staircase import SETTLED, TARGET, threshold
from convergan.study.thresholds import timed_arms
from convergan.study.votes import Votes

_NEED_VOTES = (
    "intervals over participants and images",
    "learning curve",
    "Krippendorff's alpha",
    "fooling rate by image",
    "correlation with a score of images",
    "response times",
)
_NEED_TRIALS = ("d' and criterion", "naive intervals")


_NEED_FREE_ACCURACY = (
    "better or worse than chance",
    "equivalence to chance",
    "learning curve",
    "comparison of accuracies",
    "correlation of scores of sets with errors",
)


def unavailable(data: Votes | Rates) -> dict[str, str]:
    """Name and reason of each number that a report on these data has to leave out."""
    if isinstance(data, Votes):
        return _of_timed(data)
    missing = dict.fromkeys(_NEED_VOTES, "needs single votes")
    if np.isnan(data.generated_trials + data.real_trials).any():
        missing |= dict.fromkeys(_NEED_TRIALS, "needs the number of each participant's trials")
    return missing


def _of_timed(votes: Votes) -> dict[str, str]:
    timed = timed_arms(votes)
    if not timed:
        return {}
    arms = "" if len(timed) == len(np.unique(votes.arm)) else f" in {', '.join(timed)}"
    why = f"a staircase drives accuracy{arms} towards {100 * TARGET:.0f} %, whatever the images"
    missing = dict.fromkeys(_NEED_FREE_ACCURACY, why)
    if all(math.isnan(threshold(each)) for people in timed.values() for each in people):
        missing["exposure threshold"] = f"needs more than {SETTLED} trials of a participant"
    return missing
