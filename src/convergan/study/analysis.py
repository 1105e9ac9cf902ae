"""From votes, or from error rates alone, to everything that a report shows."""

from collections.abc import Mapping

import numpy as np

from convergan.errors import UserError
from convergan.statistics.bootstrap import REPLICATES
from convergan.statistics.permutation import PERMUTATIONS, compare_all
from convergan.study.arms import describe_arm
from convergan.study.estimates import Estimates
from convergan.study.findings import Comparison, Findings
from convergan.study.image_sets import image_sets, set_correlation
from convergan.study.rates import MARGIN, Rates, rates_of
from convergan.study.statistics.learning import BLOCK_TRIALS
from convergan.study.thresholds import Thresholds
from convergan.study.unavailable import unavailable
from convergan.study.votes import Votes


def analyse(
    data: Votes | Rates,
    *,
    image_scores: Mapping[str, float] | None = None,
    set_scores: Mapping[str, float] | None = None,
    margin: float = MARGIN,
    block_trials: int = BLOCK_TRIALS,
    seed: int = 0,
) -> Findings:
    """All statistics of a study; the same arguments give the same findings.

    Args:
        image_scores: a number for each generated image, to correlate with how often it fools.
        set_scores: a number for each set of images, to correlate with people's errors on it.
        margin: how far from 50 % an accuracy may be and still count as chance, above 0 and below 0.5.
        block_trials: length of a block of the learning curve, at least 1.
        seed: of bootstraps and permutations, at least 0.

    Raises:
        UserError: no votes; an argument outside its range; scores of other images or sets.
    """
    _check(data, margin, block_trials, seed)
    rng = np.random.default_rng(seed)
    votes = data if isinstance(data, Votes) else None
    rates = rates_of(data) if isinstance(data, Votes) else data
    estimates = Estimates(rates, votes, rng)
    thresholds = Thresholds(votes, rng)
    untimed = [arm for arm in estimates.arms if arm not in thresholds]
    sets = image_sets(rates, votes, image_scores or {}, set_scores or {}, rng)
    # A staircase leaves nothing of people's errors to rank.
    of_timed = {estimates.rates[arm].images[0] for arm in estimates.arms if arm in thresholds}
    ranked = [each for each in sets if each.name not in of_timed]
    trials = float(np.sum(rates.generated_trials + rates.real_trials))
    return Findings(
        participants=len(rates),
        votes=None if np.isnan(trials) else round(trials),
        arms=[
            describe_arm(name, estimates, thresholds, votes, margin, block_trials, rng)
            for name in estimates.arms
        ],
        comparisons=_comparisons(estimates, untimed, rng),
        threshold_comparisons=thresholds.comparisons(rng),
        image_sets=sets,
        error_correlation=set_correlation(ranked, "error", rng),
        error_on_generated_correlation=set_correlation(ranked, "error_on_generated", rng),
        unavailable=unavailable(data),
        margin=margin,
        block_trials=block_trials,
        replicates=REPLICATES,
        permutations=PERMUTATIONS,
        seed=seed,
    )


def _check(data: Votes | Rates, margin: float, block_trials: int, seed: int) -> None:
    if len(data) == 0:
        raise UserError("votes: expected at least one, got none")
    if not 0 < margin < 0.5:
        raise UserError(f"margin: expected above 0 and below 0.5, got {margin}")
    if block_trials < 1:
        raise UserError(f"block_trials: expected at least 1, got {block_trials}")
    if seed < 0:
        raise UserError(f"seed: expected at least 0, got {seed}")


def _comparisons(
    estimates: Estimates, arms: list[str], rng: np.random.Generator
) -> list[Comparison]:
    """Of the accuracies of these arms."""
    accuracies = {arm: estimates.rates[arm].accuracy for arm in arms}
    return [
        Comparison(
            first=pair.first,
            second=pair.second,
            accuracy=estimates.accuracy_difference(pair.first, pair.second),
            error_on_generated=estimates.difference(pair.first, pair.second, "error_on_generated"),
            error_on_real=estimates.difference(pair.first, pair.second, "error_on_real"),
            p_value=pair.p_value,
            p_holm=pair.p_holm,
        )
        for pair in compare_all(accuracies, rng)
    ]
