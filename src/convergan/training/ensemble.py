"""The members of an ensemble as one classifier: what they came to, together and by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convergan.networks.ensemble import EnsembleDiscriminator
from convergan.runs.folder import RunFolder
from convergan.runs.results import MemberResult, Results
from convergan.training.arms import Trained
from convergan.training.loop import Fitted
from convergan.training.outcome import averaged_outcome


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member that has been trained."""

    folder: RunFolder
    results: Results
    trained: Trained


def as_one(members: Sequence[Member]) -> Trained:
    """The ensemble as if it were one training: classifiers, and baselines, that average probabilities.

    It has no generator of its own. Its seconds are those of all members.
    """
    all_fitted = [member.trained.fitted for member in members]
    baselines = [fitted.baseline for fitted in all_fitted if fitted.baseline is not None]
    outcomes = zip(*(member.trained.outcomes for member in members), strict=True)
    return Trained(
        training=members[0].trained.training,
        fitted=Fitted(
            discriminator=EnsembleDiscriminator([each.discriminator for each in all_fitted]).eval(),
            baseline=EnsembleDiscriminator(baselines).eval() if baselines else None,
            generator=None,
            epoch=max(fitted.epoch for fitted in all_fitted),
            train_seconds=sum(fitted.train_seconds for fitted in all_fitted) / len(members),
        ),
        outcomes=[averaged_outcome(of_split) for of_split in outcomes],
        seconds=sum(member.trained.seconds for member in members),
        arms=[],
    )


def with_members(results: Results, members: Sequence[Member]) -> Results:
    """The results of an ensemble with those of its members beside them."""
    epochs = {member.results.epoch_chosen for member in members}
    return replace(
        results,
        epoch_chosen=epochs.pop() if len(epochs) == 1 else None,
        members=tuple(
            MemberResult(
                seed=member.results.seed,
                test_errors=member.results.test_errors,
                test_error_rate=member.results.test_error_rate,
            )
            for member in members
        ),
    )
