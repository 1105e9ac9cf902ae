"""Results of a run, from the outcome of its trainings, as in results.json."""

from dataclasses import replace

import torch

from convergan.recipes.arms import has_arms, own_arm
from convergan.runs.provenance import device_name, versions
from convergan.runs.results import Results
from convergan.training.arms import Trained
from convergan.training.computation import resolved_precision
from convergan.training.objective import losses_of
from convergan.training.outcome import tested, with_arms
from convergan.training.preparation import Preparation


def results_of(
    preparation: Preparation, trained: Trained, device: torch.device, commit: str | None
) -> Results:
    """The results of a run.

    Args:
        preparation: images and recipe.
        trained: outcome of all trainings.
        device: device of the trainings.
        commit: git commit of the code that ran, if known.
    """
    recipe, split, fitted = preparation.recipe, preparation.split, trained.fitted
    untested = Results(
        recipe=recipe.name,
        labels=len(split.training.labelled) + len(split.training.validation),
        seed=recipe.seed,
        epochs=trained.training.recipe.epochs,
        epoch_chosen=fitted.epoch,
        train_seconds=trained.seconds,
        seconds_per_epoch=fitted.train_seconds / trained.training.recipe.epochs,
        device=device_name(device),
        precision=resolved_precision(recipe.hardware, device, trained.training.recipe.networks),
        versions=versions(),
        git_commit=commit,
    )
    folds = 0 if has_arms(recipe) and preparation.data.test is not None else preparation.fold_count
    results = tested(untested, trained.outcomes, folds)
    results = with_arms(results, trained.arms, saved=trained.training.arm)
    if not has_arms(recipe) and "generator" not in losses_of(recipe.objective):
        results = replace(results, saved_arm=own_arm(recipe))
    return results
