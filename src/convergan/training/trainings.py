"""The trainings of a run, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convergan.data.splits import Split
from convergan.recipes.arms import (
    FROZEN,
    arm_names,
    arm_recipe,
    has_arms,
    hold_out_recipe,
    own_arm,
)
from convergan.recipes.settings import Recipe
from convergan.training.loop import steps_in_all
from convergan.training.objective import losses_of
from convergan.training.preparation import Preparation

Stage = Literal["fold", "result"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a run: its recipe and its images."""

    arm: str | None
    """Name of the arm; None in a run without arms."""

    stage: Stage
    """Purpose of the training. `fold`: it has held-out labels, which estimate errors or choose among the
    arms; `result`: it uses all labels."""

    fold: int
    """Number of the fold, from 1; 0 if there is only one division, and for a result."""

    recipe: Recipe
    split: Split
    title: str
    """Text in the progress, before the number of the epoch."""

    @property
    def steps(self) -> int:
        """Number of steps."""
        return steps_in_all(self.recipe, len(self.split.training.unlabelled))


def trainings_of(preparation: Preparation) -> list[Training]:
    """All trainings of a run: those with held-out labels, arm by arm, then the results.

    In a run with arms but without a test set, the last training is that of the recipe's own arm, which the
    chosen arm replaces.
    """
    recipe = preparation.recipe
    if has_arms(recipe):
        names = arm_names(recipe)
        held_out = [
            training for name in names for training in held_out_trainings(preparation, name)
        ]
        results = names if preparation.data.test is not None else (own_arm(recipe),)
        return [*held_out, *(result_training(preparation, name) for name in results)]
    count = len(preparation.folds)
    folds = [
        Training(
            arm=None,
            stage="fold",
            fold=number,
            recipe=recipe,
            split=split,
            title=f"fold {number} of {count}: epoch",
        )
        for number, split in enumerate(preparation.folds, start=1)
    ]
    result = Training(
        arm=None, stage="result", fold=0, recipe=recipe, split=preparation.split, title="epoch"
    )
    return [*folds, result]


def step_costs_of(preparation: Preparation, measured: Mapping[str, float]) -> Mapping[str, float]:
    """The duration of a step of each arm, in a unit that all arms share; empty in a run without arms.

    Args:
        preparation: images and recipe.
        measured: seconds of a step by the name of the arm, measured when the run was planned. If they are not
            known, as in a run that repeats a plan, all arms count as equally long, as planned, except
            `frozen`, which takes only seconds.
    """
    if not has_arms(preparation.recipe):
        return {}
    names = arm_names(preparation.recipe)
    if set(names) <= set(measured):
        return measured
    return {
        name: 0.0 if name == FROZEN else 1 / result_training(preparation, name).steps
        for name in names
    }


def held_out_trainings(preparation: Preparation, arm: str) -> list[Training]:
    """The trainings of an arm with held-out labels."""
    recipe, count = hold_out_recipe(preparation.recipe, arm), len(preparation.folds)
    return [
        Training(
            arm=arm,
            stage="fold",
            fold=number if count > 1 else 0,
            recipe=recipe,
            split=split,
            title=f"{arm}, fold {number} of {count}: epoch"
            if count > 1
            else f"{arm}, held out: epoch",
        )
        for number, split in enumerate(preparation.folds, start=1)
    ]


def result_training(preparation: Preparation, arm: str) -> Training:
    """The training of an arm on all labels."""
    return Training(
        arm=arm,
        stage="result",
        fold=0,
        recipe=arm_recipe(preparation.recipe, arm),
        split=preparation.split,
        title=f"{arm}: epoch",
    )


def players_of(recipe: Recipe) -> set[str]:
    """The names of the players in all trainings of a recipe, including a baseline that is an arm."""
    arms = [arm_recipe(recipe, name) for name in arm_names(recipe)] if has_arms(recipe) else []
    players = {name for arm in (recipe, *arms) for name in losses_of(arm.objective)}
    return players if recipe.baseline else players - {"baseline"}
