"""The members of an ensemble as one classifier, and the results of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from convergan.errors import UserError, quoted
from convergan.networks.ensemble import EnsembleDiscriminator
from convergan.recipes.arms import has_arms
from convergan.recipes.files import FREE_TO_CHANGE, first_difference, read_recipe
from convergan.recipes.members import model_sha256
from convergan.recipes.networks import ModuleSettings
from convergan.runs.folder import RunFolder
from convergan.runs.model import load_classifier, load_config, load_generator
from convergan.runs.results import MemberResult, Results
from convergan.training.arms import Trained
from convergan.training.loop import Fitted
from convergan.training.outcome import averaged_outcome, outcomes_on
from convergan.training.preparation import Preparation
from convergan.training.trainings import trainings_of

_WITHOUT_EFFECT = (*FREE_TO_CHANGE, "baseline", "data.split_seed", "hardware.members")
"""Settings that have no effect on the classifier of a run."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A trained member of an ensemble."""

    folder: RunFolder
    results: Results
    trained: Trained


def is_complete(folder: RunFolder, preparation: Preparation) -> bool:
    """True if a member is finished and its saved model is all that an ensemble needs.

    With folds or a baseline, whose classifiers are only in checkpoints, the model is not enough.

    Raises:
        UserError: the run in the folder is damaged, or its model was trained with other settings or images.
    """
    recipe, results = preparation.recipe, folder.read_results()
    if results is None or not folder.model.is_dir() or recipe.baseline or preparation.folds:
        return False
    if has_arms(recipe):
        return False
    saved = read_recipe(folder.recipe)
    if model_sha256(saved) != model_sha256(recipe):
        name, value, requested = first_difference(saved, recipe, _WITHOUT_EFFECT) or ("", "", "")
        raise UserError(
            f"{folder.path}: expected the member of seed {recipe.seed}, got a run with other settings"
            f" ({name} {quoted(value)} in place of {quoted(requested)})"
        )
    if folder.read_manifest().data.fingerprint != preparation.data.fingerprint:
        raise UserError(
            f"{folder.path}: expected a run on the images of {preparation.data.source}, got one on other"
            " images"
        )
    return True


def finished_member(folder: RunFolder, preparation: Preparation, device: torch.device) -> Member:
    """A member that `is_complete`, read from its results and its model.

    Raises:
        UserError: the results or the model are damaged.
    """
    results = folder.read_results()
    assert results is not None
    (training,) = trainings_of(preparation)
    networks = preparation.recipe.networks
    factory = networks.factory if isinstance(networks, ModuleSettings) else None
    config = load_config(folder.path)
    generator = load_generator(folder.path) if config.has_generator else None
    fitted = Fitted(
        discriminator=load_classifier(folder.path, factory).network.to(device),
        baseline=None,
        generator=None if generator is None else generator.to(device),
        epoch=results.epoch_chosen or results.epochs,
        train_seconds=results.seconds_per_epoch * results.epochs,
    )
    resident_bytes = preparation.recipe.data.resident_bytes
    trained = Trained(
        training=training,
        fitted=fitted,
        outcomes=outcomes_on(training.split.test, fitted, device, resident_bytes),
        seconds=results.train_seconds,
        arms=[],
    )
    return Member(folder=folder, results=results, trained=trained)


def ensemble_of(members: Sequence[Member]) -> Trained:
    """The ensemble as if it were one training, with a classifier and a baseline that average probabilities.

    It has no generator. Its seconds are the sum over all members.
    """
    all_fitted = [member.trained.fitted for member in members]
    baselines = [fitted.baseline for fitted in all_fitted if fitted.baseline is not None]
    outcomes = zip(*(member.trained.outcomes for member in members), strict=True)
    return Trained(
        training=members[0].trained.training,
        fitted=Fitted(
            discriminator=EnsembleDiscriminator(
                [fitted.discriminator for fitted in all_fitted]
            ).eval(),
            baseline=EnsembleDiscriminator(baselines).eval() if baselines else None,
            generator=None,
            epoch=max(fitted.epoch for fitted in all_fitted),
            train_seconds=sum(fitted.train_seconds for fitted in all_fitted) / len(members),
        ),
        outcomes=[averaged_outcome(split_outcomes) for split_outcomes in outcomes],
        seconds=sum(member.trained.seconds for member in members),
        arms=[],
    )


def with_members(results: Results, members: Sequence[Member]) -> Results:
    """The results of an ensemble, including those of its members."""
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
