"""The plan of a run with arms: the number of steps of each arm, so that all arms have equal time."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from rich.cells import cell_len

from convergan.distributed import broadcast_object
from convergan.errors import UserError
from convergan.page.words import approximate_duration
from convergan.recipes.arms import (
    BASELINE,
    FROZEN,
    arm_names,
    arm_recipe,
    has_arms,
    hold_out_recipe,
    is_planned,
    own_arm,
)
from convergan.recipes.files import cost_sha256
from convergan.recipes.plan import PlanSettings
from convergan.recipes.settings import Recipe
from convergan.training.arm_times import CLASSIFICATIONS, ArmCost, ArmTimes, Images
from convergan.training.frozen import fitting_seconds, views_of
from convergan.training.loop import steps_in_all
from convergan.training.outcome import MOST_LOOKED_AT
from convergan.training.preparation import Preparation
from convergan.training.trial import classification_seconds, step_seconds

FEWEST_STEPS = 50
"""Smallest number of steps of a training; with fewer, nothing is learnt."""

TEST_SHARE = 0.05
"""Largest share of an arm's time for its tests."""

_HOLD_OUT_SHARE = 1 / 3
"""Steps of a training with held-out labels, as a share of those of the result, if there is a test set. One
such training takes a quarter of the time, N folds take N / (N + 3) of it."""

_HELD_OUT_TIME = 0.5
"""Share of the time for the trainings with held-out labels if these also estimate the errors."""

_SPARE_SHARE = 0.03
"""Share of the minutes for work that is not planned: starts, checkpoints, the report."""

_TRIAL_STEPS = 13
_TRIAL_SHARE = 0.02


def planned(
    device: torch.device,
    preparation: Preparation,
    say: Callable[[str], None],
    *,
    always_timed: bool = False,
) -> tuple[Preparation, dict[str, ArmCost]]:
    """The preparation with the steps of each arm in its recipe, and the measured durations.

    A step of each arm is timed, unless the recipe has a plan already. Every rank must call this function, and
    gets the plan of rank 0.

    Args:
        device: device to train on.
        preparation: images and recipe.
        say: function that is called with each line of the plan, on every rank.
        always_timed: time the steps even if the recipe has a plan, to estimate the duration.

    Raises:
        UserError: the minutes are too few.
    """
    recipe = preparation.recipe
    if not has_arms(recipe) or (is_planned(recipe) and not always_timed):
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
    if is_planned(recipe):
        pass
    elif recipe.minutes is None:
        unlabelled = len(preparation.split.training.unlabelled)
        own = steps_in_all(arm_recipe(recipe, own_arm(recipe)), unlabelled)
        recipe = planned_by_steps(recipe, costs, images, own)
    else:
        # Images that are classified to find those worth labelling.
        looked_at = min(len(preparation.split.training.unlabelled), MOST_LOOKED_AT)
        spent_seconds = time.monotonic() - start + looked_at * costs[own_arm(recipe)].test
        recipe = planned_by_minutes(recipe, costs, images, broadcast_object(spent_seconds))
    for line in plan_lines(recipe, costs, images):
        say(line)
    return replace(preparation, recipe=recipe), costs


def images_of(preparation: Preparation) -> Images:
    """The numbers of images that decide the duration of tests."""
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
    test = classification_seconds(device, recipe, data)
    if arm == FROZEN:
        rows = len(views_of(recipe)) * len(data.labelled)
        fitting = fitting_seconds(rows, len(data.classes))
        return ArmCost(step=fitting, test=test, shared=rows * test)
    step = step_seconds(device, recipe, data, steps=_TRIAL_STEPS, patience_seconds=patience_seconds)
    return ArmCost(step=step, test=test)


def planned_by_steps(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, own_steps: int
) -> Recipe:
    """The recipe with steps of the other arms that take as long as `own_steps` steps of its own arm."""
    share = _HOLD_OUT_SHARE if images.test else 1.0
    times = ArmTimes(recipe, costs, images, epochs=recipe.epochs)
    seconds = times.result_seconds(times.own, own_steps)
    steps = {name: times.steps_in(name, seconds) for name in costs}
    steps[times.own] = own_steps
    held_out = times.all_hold_out_steps(steps, share)
    plan = PlanSettings(settings_sha256=cost_sha256(recipe), hold_out_share=share)
    return _with_steps(recipe, steps, plan, held_out)


def _with_steps(
    recipe: Recipe, steps: Mapping[str, int], plan: PlanSettings, held_out: Mapping[str, int]
) -> Recipe:
    """The recipe with these steps of its arms, and with the steps of the baseline's trainings with held-out
    labels.
    """
    other_steps: dict[str, Any] = {
        name: count for name, count in steps.items() if name != own_arm(recipe)
    }
    if BASELINE in other_steps:
        plan = replace(plan, baseline_hold_out=held_out[BASELINE])
    return replace(recipe, steps=steps[own_arm(recipe)], plan=replace(plan, **other_steps))


def planned_by_minutes(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, spent_seconds: float = 0.0
) -> Recipe:
    """The recipe with steps of all arms that together take its `minutes`, divided equally.

    Args:
        recipe: settings with `minutes`.
        costs: durations of each arm, the recipe's own first.
        images: numbers of test images, and of folds.
        spent_seconds: part of the minutes that is not for training and tests, in seconds.

    Raises:
        UserError: the minutes are too few for `FEWEST_STEPS` of each training.
    """
    assert recipe.minutes is not None

    def divided(minutes: float) -> Recipe | None:
        seconds = 60 * minutes * (1 - _SPARE_SHARE) - spent_seconds
        return _divided(recipe, costs, images, seconds) if seconds > 0 else None

    plan = divided(recipe.minutes)
    if plan is not None:
        return plan
    fewest = recipe.minutes
    while divided(fewest) is None:
        fewest *= 1.05
    # Two digits, rounded up.
    digit = 10 ** (math.floor(math.log10(fewest)) - 1)
    fewest = math.ceil(fewest / digit) * digit
    raise UserError(
        f"minutes: expected at least {fewest:.4g}, for {FEWEST_STEPS} steps of each training on this machine "
        f"at its present load, got {recipe.minutes:g}"
    )


def _divided(
    recipe: Recipe, costs: Mapping[str, ArmCost], images: Images, seconds: float
) -> Recipe | None:
    """The recipe with steps for so many seconds; None if a training would have too few."""
    if images.test:
        share = _HOLD_OUT_SHARE
        seconds_each = seconds / len(costs) / (1 + share * images.folds)
        times = ArmTimes(
            recipe, costs, images, epochs=_epochs(recipe, costs, images.test, seconds_each)
        )
        # Twice, because the steps with held-out labels follow from the first result.
        steps = _in_equal_time(times, seconds, share, {})
        held_out = times.all_hold_out_steps(steps, share)
        steps = _in_equal_time(times, seconds, share, held_out)
    elif images.folds:
        # Half of the time is for one result, the other half for the trainings that estimate its errors.
        held_out_seconds = seconds * _HELD_OUT_TIME
        seconds_each = held_out_seconds / len(costs) / images.folds
        times = ArmTimes(
            recipe, costs, images, epochs=_epochs(recipe, costs, images.held_out, seconds_each)
        )
        steps = {name: times.steps_in(name, seconds - held_out_seconds) for name in costs}
        share = _largest(lambda share: times.all_fold_seconds(steps, share) <= held_out_seconds)
        held_out = times.all_hold_out_steps(steps, share)
    else:
        times, share = ArmTimes(recipe, costs, images, epochs=recipe.epochs), 1.0
        steps = {name: times.steps_in(name, seconds) for name in costs}
        held_out = steps
    for name, count in steps.items():
        fewest = min(held_out[name], count)
        if fewest < FEWEST_STEPS and count != times.max_steps(name):
            return None
    plan = PlanSettings(
        minutes=recipe.minutes,
        settings_sha256=cost_sha256(recipe),
        epochs=times.epochs,
        hold_out_share=share if images.folds else 1.0,
    )
    return _with_steps(recipe, steps, plan, held_out)


def _in_equal_time(
    times: ArmTimes, seconds: float, share: float, held_out: Mapping[str, int]
) -> dict[str, int]:
    """Steps of each arm in equal time. The time that an arm leaves at its limit goes to the others.

    Args:
        times: durations of trainings and tests.
        seconds: time for all trainings of all arms.
        share: steps of a training with held-out labels, as a share of those of the result.
        held_out: steps of the trainings with held-out labels of arms at their limit; default: the limit.
    """
    steps: dict[str, int] = {}
    open_arms = list(times.costs)
    while open_arms:
        seconds_each = seconds / len(open_arms)
        steps |= {name: times.steps_in(name, seconds_each, share) for name in open_arms}
        full = [name for name in open_arms if steps[name] == times.max_steps(name)]
        if not full:
            break
        for name in full:
            seconds -= times.result_seconds(name, steps[name])
            seconds -= times.fold_seconds(name, held_out.get(name, steps[name]))
        open_arms = [name for name in open_arms if name not in full]
    return steps


def _largest(fits: Callable[[float], bool]) -> float:
    """The largest share, up to 1, that fits; 1e-9 if none does."""
    low, high = 1e-9, 1.0
    if fits(high):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _epochs(recipe: Recipe, costs: Mapping[str, ArmCost], tested: int, seconds_each: float) -> int:
    """Number of epochs of each training, limited so that its tests take at most `TEST_SHARE` of its time."""
    slowest = max(cost.test for name, cost in costs.items() if name != FROZEN)
    if not tested or not slowest:
        return recipe.epochs
    affordable = (TEST_SHARE * seconds_each / (tested * slowest) - 1) / CLASSIFICATIONS
    return min(recipe.epochs, max(1, math.floor(affordable)))


def plan_lines(recipe: Recipe, costs: Mapping[str, ArmCost], images: Images) -> list[str]:
    """The plan as lines of a table: the steps and minutes of each arm with held-out and with all labels, and
    the sums of minutes.
    """
    rows: list[tuple[str, ...]] = []
    held_out_total, result_total = 0.0, 0.0
    times = ArmTimes(recipe, costs, images, epochs=recipe.plan.epochs or recipe.epochs)
    for name in costs:
        result, fold = arm_recipe(recipe, name), hold_out_recipe(recipe, name)
        assert result.steps is not None and fold.steps is not None
        held_out = times.fold_seconds(name, fold.steps)
        seconds = times.result_seconds(name, result.steps)
        # Without a test set, only the chosen arm is trained on all labels.
        is_trained = bool(images.test) or name == times.own
        held_out_total += held_out
        result_total += seconds * is_trained
        rows.append(
            (
                name,
                _steps_of_folds(fold.steps, images.folds),
                _minutes(held_out) if images.folds else "-",
                f"{result.steps:,}",
                _minutes(seconds) if is_trained else "if chosen",
                _minutes(held_out + seconds * is_trained),
            )
        )
    total = held_out_total + result_total
    header = ("arm", "held out: steps", "minutes", "all labels: steps", "minutes", "in all")
    rows = [header, *rows]
    if len(costs) > 1:
        rows.append(
            (
                "together",
                "",
                _minutes(held_out_total) if images.folds else "-",
                "",
                _minutes(result_total),
                _minutes(total),
            )
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


def _steps_of_folds(steps: int, folds: int) -> str:
    """Steps of the trainings with held-out labels: "208", of four folds "4 x 208"."""
    if not folds:
        return "-"
    return f"{steps:,}" if folds == 1 else f"{folds} x {steps:,}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"
