"""How many steps each arm takes in the minutes that there are, so that all have equal time."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from rich.cells import cell_len

from convergan.distributed import broadcast_object
from convergan.errors import UserError
from convergan.page.words import approximate_duration
from convergan.recipes.arms import (
    BASELINE,
    arm_names,
    arm_recipe,
    has_arms,
    hold_out_recipe,
    is_planned,
    own_arm,
)
from convergan.recipes.plan import PlanSettings
from convergan.recipes.settings import Recipe
from convergan.training.loop import steps_in_all
from convergan.training.outcome import MOST_LOOKED_AT
from convergan.training.preparation import Preparation
from convergan.training.trial import classification_seconds, step_seconds

FEWEST_STEPS = 50
"""Steps of a training below which nothing is learnt."""

TEST_SHARE = 0.05
"""Share of an arm's time that its tests may take."""

_HOLD_OUT_SHARE = 1 / 3
"""Steps of a training that holds labels out, of those of the result, where there is a test set: a quarter of
the time."""

_HELD_OUT_TIME = 0.5
"""Share of the time for the trainings that hold labels out, where they estimate the errors as well."""

_SPARE_SHARE = 0.03
"""Share of the minutes for what is not planned: starts, checkpoints, the report."""

_TRIAL_STEPS = 13
_TRIAL_SHARE = 0.02
_CLASSIFICATIONS = 2
"""Classifications of each test image in an epoch: by averaged and by raw weights."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Measured durations of an arm, in seconds."""

    step: float
    test: float
    """Of the classification of an image."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Numbers of the images that a run is tested on, and of its divisions."""

    test: int
    """Images in the test set; 0 where there is none."""

    held_out: int
    """Labelled images that a training holds out."""

    folds: int
    """Trainings of each arm that hold labels out; 0: none does."""


def planned(
    device: torch.device,
    preparation: Preparation,
    say: Callable[[str], None],
) -> tuple[Preparation, dict[str, ArmCost]]:
    """The preparation with the steps of each arm in its recipe, and what was measured for it.

    A step of each arm is timed, unless the recipe says already how many it takes. Every rank must call it, and
    has the plan of rank 0.

    Args:
        device: device to train on.
        preparation: images and recipe.
        say: takes each line of the plan, on every rank.

    Raises:
        UserError: the minutes are too few.
    """
    recipe = preparation.recipe
    if not has_arms(recipe) or is_planned(recipe):
        return preparation, {}
    start = time.monotonic()
    names = arm_names(recipe)
    patience_seconds = 2.0
    if recipe.minutes is not None:
        patience_seconds = max(patience_seconds, 60 * recipe.minutes * _TRIAL_SHARE / len(names))
    costs = broadcast_object(
        {name: _measured(device, preparation, name, patience_seconds) for name in names}
    )
    images = images_of(preparation)
    if recipe.minutes is None:
        own = steps_in_all(arm_recipe(recipe, own_arm(recipe)), preparation.split.training)
        recipe = planned_by_steps(recipe, costs, images, own)
    else:
        # What is looked through to find images worth labelling.
        looked_at = min(len(preparation.split.training.unlabelled), MOST_LOOKED_AT)
        spent = time.monotonic() - start + looked_at * costs[own_arm(recipe)].test
        recipe = planned_by_minutes(recipe, costs, images, broadcast_object(spent))
    for line in plan_lines(recipe, costs, images):
        say(line)
    return replace(preparation, recipe=recipe), costs


def images_of(preparation: Preparation) -> Images:
    """The numbers of images that decide how long tests take."""
    data, folds = preparation.data, preparation.folds
    return Images(
        test=0 if data.test is None else len(data.test),
        held_out=max((len(fold.held_out) for fold in folds), default=0),
        folds=len(folds),
    )


def _measured(
    device: torch.device, preparation: Preparation, arm: str, patience_seconds: float
) -> ArmCost:
    recipe, data = arm_recipe(preparation.recipe, arm), preparation.split.training
    return ArmCost(
        step=step_seconds(
            device, recipe, data, steps=_TRIAL_STEPS, patience_seconds=patience_seconds
        ),
        test=classification_seconds(device, recipe, data),
    )


def planned_by_steps(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, own_steps: int
) -> Recipe:
    """The recipe with steps of the other arms that take as long as `own_steps` of its own."""
    own = own_arm(recipe)
    seconds = own_steps * costs[own].step + _seconds_of_tests(
        recipe.epochs, images.test, costs[own]
    )
    steps = {}
    for name in costs:
        if name != own:
            tests = _seconds_of_tests(recipe.epochs, images.test, costs[name])
            steps[name] = _steps(recipe, name, (seconds - tests) / costs[name].step)
    share = _HOLD_OUT_SHARE if images.test else 1.0
    return replace(recipe, steps=own_steps, plan=PlanSettings(hold_out_share=share, **steps))


def planned_by_minutes(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, spent_seconds: float = 0.0
) -> Recipe:
    """The recipe with the steps of all arms that take its `minutes` together, as long for each.

    Args:
        recipe: settings with `minutes`.
        costs: durations of each arm.
        images: numbers of images that are tested on.
        spent_seconds: seconds of the minutes that are not for training and tests.

    Raises:
        UserError: the minutes are too few for `FEWEST_STEPS` of each training.
    """
    assert recipe.minutes is not None

    def seconds_of(minutes: float) -> float:
        return 60 * minutes * (1 - _SPARE_SHARE) - spent_seconds

    division = _divided(recipe, costs, images, seconds_of(recipe.minutes))
    if division is None:
        fewest = recipe.minutes
        while _divided(recipe, costs, images, seconds_of(fewest)) is None:
            fewest *= 1.05
        # Two digits, rounded up.
        digit = 10 ** (math.floor(math.log10(fewest)) - 1)
        fewest = math.ceil(fewest / digit) * digit
        trainings = "each training" if len(costs) > 1 or images.folds else "it"
        raise UserError(
            f"minutes: expected at least {fewest:g} for {FEWEST_STEPS} steps of {trainings} on this "
            f"machine as busy as it is now, got {recipe.minutes:g}"
        )
    steps, epochs, share = division
    own = own_arm(recipe)
    others = {name: count for name, count in steps.items() if name != own}
    plan = PlanSettings(minutes=recipe.minutes, epochs=epochs, hold_out_share=share, **others)
    return replace(recipe, steps=steps[own], plan=plan)


def _divided(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, seconds: float
) -> tuple[dict[str, int], int, float] | None:
    """Steps of each arm, epochs, and the share of a training that holds labels out; None where they are too
    few."""
    if seconds <= 0:
        return None
    if images.test:
        share = _HOLD_OUT_SHARE if images.folds else 1.0
        # For each second of a result, so many of trainings that hold labels out.
        factor = 1 + share * images.folds if images.folds else 1.0
        epochs = _epochs(recipe, costs, images.test, seconds / factor / len(costs))
        steps = _in_equal_time(recipe, costs, images, seconds, epochs, factor)
    else:
        # One result alone; its errors are those of the trainings that hold labels out.
        of_result = seconds * (1 - _HELD_OUT_TIME) if images.folds else seconds
        epochs = recipe.epochs
        if images.folds:
            each = seconds * _HELD_OUT_TIME / len(costs) / images.folds
            epochs = _epochs(recipe, costs, images.held_out, each)
        steps = {name: _steps(recipe, name, of_result / cost.step) for name, cost in costs.items()}
        tests = sum(_seconds_of_tests(epochs, images.held_out, cost) for cost in costs.values())
        training = sum(steps[name] * cost.step for name, cost in costs.items())
        share = 1.0
        if images.folds:
            left = seconds * _HELD_OUT_TIME / images.folds - tests
            share = min(1.0, max(left / training, 1e-9))
    for name, count in steps.items():
        capped = name != own_arm(recipe) and name == BASELINE and count == recipe.baseline_steps
        of_fold = share * count if images.folds else count
        if min(of_fold, count) < FEWEST_STEPS and not capped:
            return None
    return steps, epochs, share


def _in_equal_time(
    recipe: Recipe,
    costs: Mapping[str, ArmCost],
    images: Images,
    seconds: float,
    epochs: int,
    factor: float,
) -> dict[str, int]:
    """Steps of each arm: what the baseline leaves, as it learns nothing more, is the others'."""

    def tests(name: str) -> float:
        of_folds = images.folds * _seconds_of_tests(epochs, images.held_out, costs[name])
        return _seconds_of_tests(epochs, images.test, costs[name]) + of_folds

    def steps(name: str, seconds_each: float) -> int:
        per_step = factor * costs[name].step
        return _steps(recipe, name, (seconds_each - tests(name)) / per_step)

    each = seconds / len(costs)
    if BASELINE in costs and own_arm(recipe) != BASELINE and len(costs) > 1:
        taken = steps(BASELINE, each) * factor * costs[BASELINE].step + tests(BASELINE)
        rest = (seconds - taken) / (len(costs) - 1)
        return {name: steps(name, each if name == BASELINE else rest) for name in costs}
    return {name: steps(name, each) for name in costs}


def _steps(recipe: Recipe, name: str, steps: float) -> int:
    """A whole number of steps of an arm, at least 1; of the baseline as many as it may take at most."""
    whole = max(1, math.floor(steps))
    is_capped = name == BASELINE and name != own_arm(recipe)
    return min(whole, recipe.baseline_steps) if is_capped else whole


def _epochs(recipe: Recipe, costs: Mapping[str, ArmCost], tested: int, seconds_each: float) -> int:
    """Epochs of each training, so few that the tests after them do not take too much of its time."""
    slowest = max(cost.test for cost in costs.values())
    if not tested or not slowest:
        return recipe.epochs
    affordable = (TEST_SHARE * seconds_each / (tested * slowest) - 1) / _CLASSIFICATIONS
    return min(recipe.epochs, max(1, math.floor(affordable)))


def _seconds_of_tests(epochs: int, images: int, cost: ArmCost) -> float:
    """Duration of the tests after each epoch, and of the last one, in seconds."""
    return (_CLASSIFICATIONS * epochs + 1) * images * cost.test


def plan_lines(recipe: Recipe, costs: Mapping[str, ArmCost], images: Images) -> list[str]:
    """The plan as a table: of each arm its steps and minutes, and their sum."""
    rows: list[tuple[str, str, str, str, str]] = []
    held_out_total, result_total = 0.0, 0.0
    own = own_arm(recipe)
    for name, cost in costs.items():
        result, fold = arm_recipe(recipe, name), hold_out_recipe(recipe, name)
        assert result.steps is not None and fold.steps is not None
        held_out = images.folds * (
            fold.steps * cost.step + _seconds_of_tests(fold.epochs, images.held_out, cost)
        )
        seconds = result.steps * cost.step + _seconds_of_tests(result.epochs, images.test, cost)
        # Without a test set the chosen arm alone is trained on all labels.
        is_trained = bool(images.test) or name == own
        held_out_total += held_out
        result_total += seconds * is_trained
        rows.append(
            (
                name,
                f"{result.steps:,}",
                _minutes(held_out) if images.folds else "-",
                _minutes(seconds) if is_trained else "if chosen",
                _minutes(held_out + seconds * is_trained),
            )
        )
    total = held_out_total + result_total
    header = ("arm", "steps", "held out", "all labels", "minutes in all")
    rows = [header, *rows]
    if len(costs) > 1:
        rows.append(
            ("together", "", _minutes(held_out_total), _minutes(result_total), _minutes(total))
        )
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [f"planned: about {approximate_duration(total)} of training and tests", *lines]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"
