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
    """Name of the arm; None where the run has none."""

    stage: Stage
    """`fold`: it holds out labels, to estimate errors or to choose among the arms; `result`: all are trained
    on."""

    fold: int
    """Number of the fold, from 1; 0 where there is one division alone, and for a result."""

    recipe: Recipe
    split: Split
    title: str
    """What the progress calls it, before the number of the epoch."""

    @property
    def steps(self) -> int:
        """Number of its steps."""
        return steps_in_all(self.recipe, len(self.split.training.unlabelled))


def trainings_of(preparation: Preparation) -> list[Training]:
    """All trainings of a run: those that hold out labels, arm by arm, then the results.

    Where arms are chosen among and there is no test set, the last is that of the recipe's own arm; the arm
    that is chosen takes its place.
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
    """The duration of a step of each arm, in a unit that all share; none in a run without arms.

    Args:
        preparation: images and recipe.
        measured: seconds of a step by the name of the arm, as they were measured when the run was planned.
            Where they are not known, as in a run that repeats a plan, all arms count as equally long, which
            they are planned to be; `frozen` takes seconds.
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
    """The trainings of an arm that hold out labels."""
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
    """The names of the players in all trainings of a recipe, a baseline that is an arm among them."""
    arms = [arm_recipe(recipe, name) for name in arm_names(recipe)] if has_arms(recipe) else []
    players = {name for each in (recipe, *arms) for name in losses_of(each.objective)}
    return players if recipe.baseline else players - {"baseline"}
