"""The findings of a study as they would be if no one were left out for careless answers."""

import numpy as np

from convergan.study.analysis.arms import equivalence_of, interval_of
from convergan.study.analysis.attention import attention
from convergan.study.analysis.comparisons import compare_all
from convergan.study.analysis.conclusion import conclude
from convergan.study.analysis.estimates import Estimates
from convergan.study.analysis.findings import ArmWithFlagged, ComparisonWithFlagged, WithFlagged
from convergan.study.analysis.rates import Rates, rates_of
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.votes import Votes


def with_flagged(data: Votes | Rates, margin: float, seed: int) -> WithFlagged:
    """Compute arms and comparisons with the flagged participants."""
    votes = data if isinstance(data, Votes) else None
    rates = rates_of(data) if isinstance(data, Votes) else data
    judged = None if votes is None else votes.judged
    # The bootstrap is not used here.
    estimates = Estimates(rates, judged, np.random.default_rng(seed), replicates=1)
    thresholds = Thresholds(judged)
    arms = []
    for name in estimates.arms:
        tested = None if name in thresholds else estimates.tested(name)
        attended = None if votes is None else attention(votes.chosen(votes.arm == name))
        arms.append(
            ArmWithFlagged(
                name=name,
                participants=len(estimates.rates[name]),
                accuracy=float(estimates.rates[name].accuracy.mean()),
                interval=interval_of(tested),
                conclusion="not applicable"
                if name in thresholds
                else conclude(
                    tested.estimate if tested else None,
                    equivalence_of(tested, margin, attended),
                    attended,
                ),
                threshold=thresholds.threshold(name),
            )
        )
    means = {arm.name: arm.accuracy for arm in arms}
    untimed = [name for name in estimates.arms if name not in thresholds]
    return WithFlagged(
        arms=arms,
        comparisons=[
            ComparisonWithFlagged(
                first=pair.first,
                second=pair.second,
                accuracy=means[pair.first] - means[pair.second],
                p_value=pair.p_value,
                p_holm=pair.p_holm,
            )
            for pair in compare_all(estimates, untimed)
        ],
        threshold_comparisons=thresholds.comparisons(),
    )
