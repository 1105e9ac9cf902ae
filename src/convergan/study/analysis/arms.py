"""The findings about one arm."""

import numpy as np

from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.equivalence import Equivalence, equivalence
from convergan.statistics.intervals import Interval, expanded_percentile_interval
from convergan.study.analysis.attention import Attention, attention
from convergan.study.analysis.conclusion import conclude
from convergan.study.analysis.estimates import Estimates, MeanEstimate, Tested
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
    """Collect the findings about an arm.

    Args:
        name: of the arm.
        estimates: estimates of all arms.
        thresholds: thresholds of the timed arms.
        votes: all votes of the study, controls included; None where only rates are known.
        margin: largest distance from an accuracy of 50 % that counts as chance.
        block_trials: length of a block of the learning curve in trials.
        rng: for the bootstrap of the learning curve.
        flagged: number of the arm's participants that the screens flag.
        emptied: whether the screens flag all of its participants.
    """
    rates = estimates.rates[name]
    all_votes = None if votes is None else votes.chosen(votes.arm == name)
    judged = None if all_votes is None else all_votes.judged
    trials = float(np.sum(rates.generated_trials + rates.real_trials))
    timed = name in thresholds
    attended = None if all_votes is None else attention(all_votes)
    tested = None if timed or emptied else estimates.tested(name)
    equal = equivalence_of(tested, margin, attended)
    return Arm(
        name=name,
        images=str(rates.images[0]),
        feedback=None if judged is None else _feedback(judged),
        participants=len(rates),
        votes=None if np.isnan(trials) else round(trials),
        accuracy=estimates.accuracy(name),
        error_on_generated=estimates.mean(name, "error_on_generated"),
        error_on_real=estimates.mean(name, "error_on_real"),
        d_prime=estimates.mean(name, "d_prime"),
        criterion=estimates.mean(name, "criterion"),
        conclusion=(
            "everyone flagged"
            if emptied
            else "not applicable"
            if timed
            else conclude(tested.estimate if tested else None, equal, attended)
        ),
        samples=tested.samples if tested else None,
        interval=interval_of(tested),
        chance_p_value=tested.estimate.p_value(CHANCE) if tested else None,
        equivalence=equal,
        attention=attended,
        flagged=flagged,
        agreement=None if judged is None else agreement(judged.image, judged.answered_generated),
        learning=None if judged is None or timed else _learning(judged, block_trials, rng),
        response_seconds=_median(rates.response_seconds)
        if judged is None
        else _response_seconds(judged),
        timed=timed,
        threshold=thresholds.threshold(name),
        timed_answers=thresholds.answers(name),
    )


def equivalence_of(
    tested: Tested | None, margin: float, attended: Attention | None
) -> Equivalence | None:
    """Test an accuracy for equivalence to chance, among the people who looked.

    People who do not look are right half of the time. Where a share r of the votes comes from people who
    look, the accuracy of all votes is r times as far from chance as theirs; therefore the margin of the test
    is r times `margin`.
    """
    if tested is None:
        return None
    return equivalence(tested.estimate, CHANCE, margin * (attended.share if attended else 1))


def interval_of(tested: Tested | None) -> Interval | None:
    """Compute the 95 % interval of an accuracy."""
    return None if tested is None else tested.estimate.interval(possible=Interval(0, 1))


def _feedback(votes: Votes) -> bool | None:
    """Return whether there was feedback; None where only some participants had it."""
    return bool(votes.feedback[0]) if np.ptp(votes.feedback.astype(int)) == 0 else None


def _learning(votes: Votes, block_trials: int, rng: np.random.Generator) -> LearningCurve:
    curve = learning(votes, block_trials)
    blocks = mean_replicates(curve.accuracy, rng)
    return LearningCurve(
        blocks=[
            Block(first_trial=int(first), last_trial=int(last), accuracy=estimate)
            for first, last, numbers, replicates in zip(
                curve.first_trial, curve.last_trial, curve.accuracy.T, blocks.T, strict=True
            )
            if (estimate := _estimate(numbers, replicates))
        ],
        gain=_estimate(curve.gain, mean_replicates(curve.gain, rng)),
    )


def _estimate(numbers: np.ndarray, replicates: np.ndarray) -> MeanEstimate | None:
    """Estimate a mean; None where no participant has a value."""
    values = numbers[~np.isnan(numbers)]
    if values.size == 0:
        return None
    interval = expanded_percentile_interval(replicates, values.size)
    return MeanEstimate(value=float(values.mean()), participants=interval)


def _median(values: np.ndarray | None) -> float | None:
    """Compute the median of the known values; None without any."""
    if values is None or np.isnan(values).all():
        return None
    return float(np.nanmedian(values))


def _response_seconds(votes: Votes) -> float | None:
    timed = votes.chosen(~np.isnan(votes.response_seconds))
    if len(timed) == 0:
        return None
    order = np.argsort(timed.participant, kind="stable")
    _, starts = np.unique(timed.participant[order], return_index=True)
    by_participant = np.split(timed.response_seconds[order], starts[1:])
    return float(np.median([np.median(seconds) for seconds in by_participant]))
