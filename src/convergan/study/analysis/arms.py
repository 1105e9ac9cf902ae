"""What is known of one arm."""

import numpy as np

from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.equivalence import Equivalence, equivalence
from convergan.statistics.intervals import Interval, expanded_percentile_interval
from convergan.study.analysis.attention import Attention, attention
from convergan.study.analysis.conclusion import conclude
from convergan.study.analysis.estimates import Estimate, Estimates, Tested
from convergan.study.analysis.findings import Arm, Block, LearningCurve
from convergan.study.analysis.rates import CHANCE
from convergan.study.analysis.statistics.agreement import agreement
from convergan.study.analysis.statistics.learning import learning
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.votes import Votes


def describe_arm(
    name: str,
    estimates: Estimates,
    thresholds: Thresholds,
    votes: Votes | None,
    margin: float,
    block_trials: int,
    rng: np.random.Generator,
    *,
    flagged: int = 0,
    emptied: bool = False,
) -> Arm:
    """Everything about an arm.

    Args:
        votes: all of the study's, controls too; None where only rates are known.
        flagged: participants that the screens have flagged.
        emptied: they are all.
    """
    rates = estimates.rates[name]
    everything = None if votes is None else votes.chosen(votes.arm == name)
    here = None if everything is None else everything.judged
    trials = float(np.sum(rates.generated_trials + rates.real_trials))
    timed = name in thresholds
    looked = None if everything is None else attention(everything)
    tested = None if timed or emptied else estimates.tested(name)
    equal = equivalence_of(tested, margin, looked)
    return Arm(
        name=name,
        images=str(rates.images[0]),
        feedback=None if here is None else _feedback(here),
        participants=len(rates),
        votes=None if np.isnan(trials) else round(trials),
        accuracy=estimates.accuracy(name),
        error_on_generated=estimates.of(name, "error_on_generated"),
        error_on_real=estimates.of(name, "error_on_real"),
        d_prime=estimates.of(name, "d_prime"),
        criterion=estimates.of(name, "criterion"),
        conclusion=(
            "everyone flagged"
            if emptied
            else "not applicable"
            if timed
            else conclude(tested.estimate if tested else None, equal, looked)
        ),
        samples=tested.samples if tested else None,
        interval=interval_of(tested),
        chance_p_value=tested.estimate.p_value(CHANCE) if tested else None,
        equivalence=equal,
        attention=looked,
        flagged=flagged,
        agreement=None if here is None else agreement(here.image, here.answered_generated),
        learning=None if here is None or timed else _learning(here, block_trials, rng),
        response_seconds=None if here is None else _response_seconds(here),
        timed=timed,
        threshold=thresholds.of(name),
    )


def equivalence_of(
    tested: Tested | None, margin: float, looked: Attention | None
) -> Equivalence | None:
    """Of an accuracy with chance. Who does not look is right half of the time: where a share r of the votes
    is of people who look, their accuracy is 1 / r times as far from chance as that of all, so r times the
    margin is what all may be from it."""
    if tested is None:
        return None
    return equivalence(tested.estimate, CHANCE, margin * (looked.share if looked else 1))


def interval_of(tested: Tested | None) -> Interval | None:
    """95 %, of a share."""
    return None if tested is None else tested.estimate.interval(possible=Interval(0, 1))


def _feedback(votes: Votes) -> bool | None:
    """None where some participants had it and some did not."""
    return bool(votes.feedback[0]) if np.ptp(votes.feedback.astype(int)) == 0 else None


def _learning(votes: Votes, block_trials: int, rng: np.random.Generator) -> LearningCurve:
    found = learning(votes, block_trials)
    blocks = mean_replicates(found.accuracy, rng)
    return LearningCurve(
        blocks=[
            Block(first_trial=int(first), last_trial=int(last), accuracy=estimate)
            for first, last, numbers, replicates in zip(
                found.first_trial, found.last_trial, found.accuracy.T, blocks.T, strict=True
            )
            if (estimate := _estimate(numbers, replicates))
        ],
        gain=_estimate(found.gain, mean_replicates(found.gain, rng)),
    )


def _estimate(numbers: np.ndarray, replicates: np.ndarray) -> Estimate | None:
    """None where no participant has this number."""
    known = numbers[~np.isnan(numbers)]
    if known.size == 0:
        return None
    interval = expanded_percentile_interval(replicates, known.size)
    return Estimate(value=float(known.mean()), participants=interval)


def _response_seconds(votes: Votes) -> float | None:
    timed = votes.chosen(~np.isnan(votes.response_seconds))
    if len(timed) == 0:
        return None
    order = np.argsort(timed.participant, kind="stable")
    _, starts = np.unique(timed.participant[order], return_index=True)
    of_each = np.split(timed.response_seconds[order], starts[1:])
    return float(np.median([np.median(seconds) for seconds in of_each]))
