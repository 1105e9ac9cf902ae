"""Estimate of the time that a recipe takes to train on this machine, from a few steps."""

import torch
from rich.console import Console

from convergan.distributed import ranks
from convergan.recipes.arms import has_arms, own_arm
from convergan.recipes.settings import Recipe
from convergan.training.launch import launched
from convergan.training.planning import planned
from convergan.training.preparation import Preparation, prepare
from convergan.training.signals import terminated_by_signals
from convergan.training.summary import seconds_of_trainings
from convergan.training.trainings import trainings_of
from convergan.training.trial import step_seconds


def expected_seconds(recipe: Recipe, *, console: Console) -> float:
    """The expected duration of all trainings and tests of a recipe, in seconds. Nothing is written.

    Args:
        recipe: all settings.
        console: console for the plan of a recipe with arms.

    Raises:
        UserError: as `train`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.hardware.threads or threads)
    try:
        with terminated_by_signals(), launched(recipe.hardware) as device:
            preparation = prepare(recipe, None, processes=ranks(), device=device)
            return _seconds(device, preparation, console)
    finally:
        torch.set_num_threads(threads)


def _seconds(device: torch.device, preparation: Preparation, console: Console) -> float:
    if not has_arms(preparation.recipe):
        step = step_seconds(device, preparation.recipe, preparation.split.training)
        return seconds_of_trainings(preparation, step)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    preparation, costs = planned(device, preparation, say, always_timed=True)
    if preparation.recipe.minutes is not None:
        return 60 * preparation.recipe.minutes
    return sum(
        training.steps * costs[training.arm or own_arm(preparation.recipe)].step
        for training in trainings_of(preparation)
    )
