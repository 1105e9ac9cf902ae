"""The analysis of a study: from votes, or from error rates alone, to everything that its report shows."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from convergan.errors import UserError
from convergan.statistics.bootstrap import REPLICATES
from convergan.statistics.correlation import PERMUTATIONS
from convergan.study.analysis.arms import describe_arm
from convergan.study.analysis.comparisons import compare_all
from convergan.study.analysis.estimates import Estimates
from convergan.study.analysis.findings import AccuracyComparison, Findings
from convergan.study.analysis.image_sets import image_sets, set_correlation
from convergan.study.analysis.rates import MARGIN, Rates, rates_of
from convergan.study.analysis.screens import Screens, flag, without_flagged
from convergan.study.analysis.statistics.learning import BLOCK_TRIALS
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.unavailable import unavailable
from convergan.study.analysis.votes import Votes
from convergan.study.analysis.with_flagged import with_flagged


def analyse(
    data: Votes | Rates,
    *,
    image_scores: Mapping[str, float] | None = None,
    set_scores: Mapping[str, float] | None = None,
    margin: float = MARGIN,
    block_trials: int = BLOCK_TRIALS,
    seed: int = 0,
    screens: Screens | None = None,
) -> Findings:
    """Compute all statistics of a study; the same arguments give the same findings.

    Args:
        data: votes, or error rates where single votes are unknown.
        image_scores: a score for each generated image, by its id, to correlate with its fooling rate.
        set_scores: a score for each set of images, by its name, to correlate with people's errors on it.
        margin: largest distance from an accuracy of 50 % that counts as chance, above 0 and below 0.5.
        block_trials: length of a block of the learning curve in trials, at least 1.
        seed: seed of bootstraps and permutations, at least 0.
        screens: rules that leave participants with careless answers out; None: the default ones.

    Raises:
        UserError: there are no votes, an argument is outside its range, or the scores are of other images or
            sets.
    """
    _check(data, margin, block_trials, seed)
    screens = screens or Screens()
    flagged = flag(data, screens)
    included, emptied = without_flagged(data, flagged)
    rng = np.random.default_rng(seed)
    votes = included if isinstance(included, Votes) else None
    judged = votes.judged if votes is not None else None
    rates = rates_of(included) if isinstance(included, Votes) else included
    estimates = Estimates(rates, judged, rng)
    thresholds = Thresholds(judged)
    untimed = [arm for arm in estimates.arms if arm not in thresholds]
    sets = image_sets(rates, judged, image_scores or {}, set_scores or {}, rng)
    # A staircase drives all errors to the same rate, which cannot rank sets.
    timed_sets = {estimates.rates[arm].images[0] for arm in estimates.arms if arm in thresholds}
    ranked = [image_set for image_set in sets if image_set.name not in timed_sets]
    trials = float(np.sum(rates.generated_trials + rates.real_trials))
    flagged_by_arm = Counter(participant.arm for participant in flagged)
    return Findings(
        participants=len(rates),
        votes=None if np.isnan(trials) else round(trials),
        arms=[
            describe_arm(
                name, estimates, thresholds, votes, margin, block_trials, rng,
                flagged=flagged_by_arm[name], emptied=name in emptied,
            )
            for name in estimates.arms
        ],
        comparisons=_comparisons(estimates, untimed, emptied),
        threshold_comparisons=thresholds.comparisons(emptied),
        image_sets=sets,
        error_correlation=set_correlation(ranked, "error", rng),
        error_on_generated_correlation=set_correlation(ranked, "error_on_generated", rng),
        unavailable=unavailable(included),
        flagged=flagged,
        with_flagged=with_flagged(data, margin, seed) if flagged else None,
        screens=screens,
        margin=margin,
        block_trials=block_trials,
        replicates=REPLICATES,
        permutations=PERMUTATIONS,
        seed=seed,
    )  # fmt: skip


def _check(data: Votes | Rates, margin: float, block_trials: int, seed: int) -> None:
    if len(data) == 0:
        raise UserError("votes: expected at least one, got none")
    if isinstance(data, Votes) and data.control.all():
        raise UserError("votes: expected some on images other than controls, got none")
    if not 0 < margin < 0.5:
        raise UserError(f"margin: expected above 0 and below 0.5, got {margin}")
    if block_trials < 1:
        raise UserError(f"block_trials: expected at least 1, got {block_trials}")
    if seed < 0:
        raise UserError(f"seed: expected at least 0, got {seed}")


def _comparisons(
    estimates: Estimates, arms: list[str], untested: set[str]
) -> list[AccuracyComparison]:
    """Compare the accuracies of these arms, each with every later one."""
    return [
        AccuracyComparison(
            first=pair.first,
            second=pair.second,
            accuracy=estimates.accuracy_difference(pair.first, pair.second),
            error_on_generated=estimates.difference(pair.first, pair.second, "error_on_generated"),
            error_on_real=estimates.difference(pair.first, pair.second, "error_on_real"),
            p_value=pair.p_value,
            p_holm=pair.p_holm,
            samples=pair.samples,
        )
        for pair in compare_all(estimates, arms, untested)
    ]
