"""From votes, or from error rates alone, to everything that a report shows."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from convergan.errors import UserError
from convergan.study.arms import describe_arm
from convergan.study.estimates import Estimates
from convergan.study.findings import Comparison, Findings
from convergan.study.image_sets import image_sets, set_correlation
from convergan.study.rates import Rates, rates_of
from convergan.study.statistics.bootstrap import REPLICATES
from convergan.study.statistics.equivalence import MARGIN
from convergan.study.statistics.learning import BLOCK_TRIALS
from convergan.study.statistics.permutation import PERMUTATIONS, holm, permutation_p_value
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
    sets = image_sets(rates, votes, image_scores or {}, set_scores or {}, rng)
    trials = float(np.sum(rates.generated_trials + rates.real_trials))
    return Findings(
        participants=len(rates),
        votes=None if np.isnan(trials) else round(trials),
        arms=[
            describe_arm(name, estimates, votes, margin, block_trials, rng)
            for name in estimates.arms
        ],
        comparisons=_comparisons(estimates, rng),
        image_sets=sets,
        error_correlation=set_correlation(sets, "error", rng),
        error_on_generated_correlation=set_correlation(sets, "error_on_generated", rng),
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


def _comparisons(estimates: Estimates, rng: np.random.Generator) -> list[Comparison]:
    """Every arm with every later one; p-values corrected over all of them."""
    pairs = list(combinations(estimates.arms, 2))
    p_values = [_p_value(estimates, first, second, rng) for first, second in pairs]
    corrected = iter(holm(np.array([p for p in p_values if p is not None])).tolist())
    return [
        Comparison(
            first=first,
            second=second,
            accuracy=estimates.accuracy_difference(first, second),
            error_on_generated=estimates.difference(first, second, "error_on_generated"),
            error_on_real=estimates.difference(first, second, "error_on_real"),
            p_value=p_value,
            p_holm=None if p_value is None else next(corrected),
        )
        for (first, second), p_value in zip(pairs, p_values, strict=True)
    ]


def _p_value(
    estimates: Estimates, first: str, second: str, rng: np.random.Generator
) -> float | None:
    """None where an arm has fewer than two participants."""
    one, other = (estimates.rates[arm].accuracy for arm in (first, second))
    if min(len(one), len(other)) < 2:
        return None
    return float(permutation_p_value(one, other, rng))
