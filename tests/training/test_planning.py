"""The plan of a run's arms: equal time, within the minutes, the same whenever it is repeated."""

import re
from dataclasses import replace

import pytest

from convergan.errors import UserError
from convergan.recipes.arms import arm_names, arm_recipe, hold_out_recipe, is_planned
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.training.arm_times import ArmCost, Images
from convergan.training.planning import (
    FEWEST_STEPS,
    plan_lines,
    planned_by_minutes,
    planned_by_steps,
)

RECIPE = replace(PRESETS["digits"], arms=("frozen",), minutes=10, epochs=30, baseline_steps=2000)
COSTS = {
    "gan": ArmCost(step=0.2, test=3e-4),
    "baseline": ArmCost(step=0.05, test=3e-4),
    "frozen": ArmCost(step=8.0, test=2e-2),
}
WITH_TEST = Images(test=1000, held_out=20, folds=1)
WITHOUT_TEST = Images(test=0, held_out=20, folds=1)


def without_frozen(recipe: Recipe) -> tuple[Recipe, dict[str, ArmCost]]:
    return replace(recipe, arms=()), {name: COSTS[name] for name in ("gan", "baseline")}


def seconds(recipe: Recipe, images: Images) -> dict[str, tuple[float, float]]:
    """The seconds of each arm's trainings that hold labels out, and of the one on all labels."""
    times = {}
    for name in arm_names(recipe):
        result, fold, cost = arm_recipe(recipe, name), hold_out_recipe(recipe, name), COSTS[name]

        def duration(planned: Recipe, tested: int, cost: ArmCost = cost, name: str = name) -> float:
            tests = 1 if name == "frozen" else 2 * planned.epochs + 1
            return planned.steps * cost.step + tests * tested * cost.test

        times[name] = (
            images.folds * duration(fold, images.held_out),
            duration(result, images.test) if images.test or name == "gan" else 0.0,
        )
    return times


@pytest.mark.parametrize("images", [WITH_TEST, WITHOUT_TEST])
@pytest.mark.parametrize("minutes", [3.0, 10.0, 60.0])
def test_everything_together_takes_the_minutes(images: Images, minutes: float) -> None:
    recipe, costs = without_frozen(replace(RECIPE, minutes=minutes, baseline_steps=10**9))
    planned = planned_by_minutes(recipe, costs, images, spent_seconds=5)
    assert is_planned(planned)
    total = sum(map(sum, seconds(planned, images).values())) + 5
    assert 0.94 * 60 * minutes <= total <= 60 * minutes


def test_arms_have_equal_time_and_a_quarter_of_it_holds_labels_out() -> None:
    recipe, costs = without_frozen(replace(RECIPE, baseline_steps=10**9))
    times = seconds(planned_by_minutes(recipe, costs, WITH_TEST), WITH_TEST)
    assert sum(times["gan"]) == pytest.approx(sum(times["baseline"]), rel=0.01)
    held_out = sum(fold_seconds for fold_seconds, _ in times.values())
    assert held_out == pytest.approx(0.97 * 600 / 4, rel=0.05)


def test_what_the_baseline_leaves_is_the_others() -> None:
    recipe, costs = without_frozen(RECIPE)
    planned = planned_by_minutes(recipe, costs, WITH_TEST)
    assert planned.plan.baseline == 2000
    times = seconds(planned, WITH_TEST)
    assert sum(times["baseline"]) < 0.6 * sum(times["gan"])
    assert sum(map(sum, times.values())) == pytest.approx(0.97 * 600, rel=0.01)


def test_a_baseline_that_learns_nothing_more_holds_labels_out_as_long_as_the_others() -> None:
    recipe, costs = without_frozen(RECIPE)
    planned = planned_by_minutes(recipe, costs, WITH_TEST)
    baseline_seconds, own = (
        seconds(planned, WITH_TEST)["baseline"][0],
        seconds(planned, WITH_TEST)["gan"][0],
    )
    assert 0.95 * own <= baseline_seconds <= own
    assert planned.plan.baseline_hold_out > 2 * 2000 / 3
    # Up to where it learns nothing more.
    few_steps = planned_by_minutes(replace(recipe, baseline_steps=300), costs, WITH_TEST)
    assert hold_out_recipe(few_steps, "baseline").steps == 300
    # Where it does learn more, its part is that of the others.
    many_steps = planned_by_minutes(replace(recipe, baseline_steps=10**9), costs, WITH_TEST)
    assert many_steps.plan.baseline_hold_out == round(many_steps.plan.baseline / 3)


def test_a_frozen_network_takes_what_it_takes() -> None:
    planned = planned_by_minutes(RECIPE, COSTS, WITH_TEST)
    assert (planned.plan.frozen, arm_recipe(planned, "frozen").steps) == (1, 1)
    total = sum(map(sum, seconds(planned, WITH_TEST).values()))
    assert total == pytest.approx(0.97 * 600, rel=0.01)


def test_without_a_test_set_half_of_the_time_is_the_chosen_arms() -> None:
    times = seconds(planned_by_minutes(RECIPE, COSTS, WITHOUT_TEST), WITHOUT_TEST)
    held_out = sum(fold_seconds for fold_seconds, _ in times.values())
    assert held_out == pytest.approx(0.97 * 300, rel=0.02)
    assert times["gan"][1] == pytest.approx(0.97 * 300, rel=0.02)


def test_tests_take_a_twentieth_of_the_time_at_most() -> None:
    recipe, costs = without_frozen(RECIPE)
    large = Images(test=10_000, held_out=20, folds=1)
    planned = planned_by_minutes(recipe, costs, large)
    tests = (2 * planned.plan.epochs + 1) * 10_000 * costs["gan"].test
    assert tests <= 0.05 * 600
    assert 1 <= planned.plan.epochs < recipe.epochs
    # Never more often than the recipe says.
    assert planned_by_minutes(recipe, costs, replace(large, test=10)).plan.epochs == recipe.epochs


@pytest.mark.parametrize("images", [WITH_TEST, WITHOUT_TEST])
def test_too_few_minutes_are_refused_with_the_fewest(images: Images) -> None:
    with pytest.raises(UserError) as refused:
        planned_by_minutes(replace(RECIPE, minutes=0.1), COSTS, images)
    message = str(refused.value)
    assert message.startswith("minutes: expected at least ") and "\n" not in message
    fewest = float(message.split("at least ")[1].split(",")[0])
    planned = planned_by_minutes(replace(RECIPE, minutes=fewest), COSTS, images)
    for name in ("gan", "baseline"):
        assert hold_out_recipe(planned, name).steps >= FEWEST_STEPS
    # That is not much more than what is needed.
    with pytest.raises(UserError):
        planned_by_minutes(replace(RECIPE, minutes=0.8 * fewest), COSTS, images)


def test_folds_that_are_asked_for_share_their_part() -> None:
    folds = Images(test=0, held_out=25, folds=4)
    planned = planned_by_minutes(RECIPE, COSTS, folds)
    total = sum(map(sum, seconds(planned, folds).values()))
    assert total == pytest.approx(0.97 * 600, rel=0.02)


def test_a_single_arm_with_a_test_set_has_all_the_time() -> None:
    recipe = replace(RECIPE, arms=(), baseline=False)
    images = Images(test=1000, held_out=0, folds=0)
    planned = planned_by_minutes(recipe, {"gan": COSTS["gan"]}, images)
    assert planned.steps == pytest.approx(0.97 * 600 / 0.2, rel=0.06)


def test_without_minutes_the_others_take_as_long_as_the_recipes_own() -> None:
    recipe, costs = without_frozen(replace(RECIPE, minutes=None, arms=("gan",)))
    planned = planned_by_steps(recipe, costs, WITH_TEST, 400)
    assert (planned.steps, planned.plan.minutes) == (400, None)
    assert planned.plan.baseline == pytest.approx(400 * 0.2 / 0.05, abs=1)
    assert is_planned(planned)


def test_the_plan_is_a_table_that_fits_in_80_columns() -> None:
    planned = planned_by_minutes(RECIPE, COSTS, WITH_TEST)
    first, header, *rows = plan_lines(planned, COSTS, WITH_TEST)
    assert first == "planned: about 10 min of training and tests"
    assert re.split(r"  +", header) == [
        "arm", "held out: steps", "minutes", "all labels: steps", "minutes", "in all",
    ]  # fmt: skip
    held_out, result = hold_out_recipe(planned, "gan").steps, planned.steps
    assert held_out != result
    assert rows[0].split()[1::2][:2] == [f"{held_out:,}", f"{result:,}"], "both, each by its name"
    assert [row.split()[0] for row in rows] == ["gan", "baseline", "frozen", "together"]
    assert max(map(len, (header, *rows))) <= 80
    assert float(rows[-1].split()[-1]) == pytest.approx(9.7, abs=0.1)
    assert "if chosen" in plan_lines(planned, COSTS, WITHOUT_TEST)[3]
    folds = plan_lines(planned, COSTS, replace(WITH_TEST, folds=4))
    assert f" 4 x {held_out:,} " in folds[2] and max(map(len, folds)) <= 80
    assert plan_lines(planned, COSTS, Images(test=9, held_out=0, folds=0))[2].count(" - ") == 2
