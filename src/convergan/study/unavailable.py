"""What some data cannot tell, by name."""

import numpy as np

from convergan.study.rates import Rates
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


def unavailable(data: Votes | Rates) -> dict[str, str]:
    """Name and reason of each number that a report on these data has to leave out."""
    if isinstance(data, Votes):
        return {}
    missing = dict.fromkeys(_NEED_VOTES, "needs single votes")
    if np.isnan(data.generated_trials + data.real_trials).any():
        missing |= dict.fromkeys(_NEED_TRIALS, "needs the number of each participant's trials")
    return missing
