"""Names of the numbers that some data cannot give."""

from collections.abc import Iterable

import numpy as np

from convergan.study.analysis.exposures import exposures_of
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import FEWEST_TRIALS, TARGET

_NEED_VOTES = (
    "intervals over participants and images",
    "learning curve",
    "Krippendorff's alpha",
    "fooling rate by image",
    "correlation with a score of images",
    "response times",
    "attention, by obvious fakes",
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
    """Return the name of each number that these data cannot give, and the reason."""
    if isinstance(data, Votes):
        return _unavailable_if_timed(data)
    missing = dict.fromkeys(_NEED_VOTES, "needs single votes")
    if data.response_seconds is not None and not np.isnan(data.response_seconds).all():
        del missing["response times"]
    if np.isnan(data.generated_trials + data.real_trials).any():
        missing |= dict.fromkeys(_NEED_TRIALS, "needs the number of each participant's trials")
    return missing


def _unavailable_if_timed(votes: Votes) -> dict[str, str]:
    exposures = exposures_of(votes)
    if not exposures:
        return {}
    arms = "" if len(exposures) == len(np.unique(votes.arm)) else _in_arms(exposures)
    reason = f"a staircase drives accuracy{arms} towards {100 * TARGET:.0f} %, whatever the images"
    missing = dict.fromkeys(_NEED_FREE_ACCURACY, reason)
    unfitted = [arm for arm, answers in exposures.items() if answers.counts.counted == 0]
    if unfitted:
        place = _in_arms(unfitted) if len(unfitted) < len(exposures) else ""
        counts = [exposures[arm].counts for arm in unfitted]
        trials = (
            "answers to images shown as long as requested"
            if any(count.wrong_exposures or count.unrequested for count in counts)
            else "trials"
        )
        reason = f"needs a participant with more than {FEWEST_TRIALS} {trials}"
        missing[f"exposure threshold{place}"] = reason
    return missing


def _in_arms(arms: Iterable[str]) -> str:
    return f" in {', '.join(f'“{arm}”' for arm in arms)}"
