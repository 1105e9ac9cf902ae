"""The arms of a run: which there are, what each minimizes, and how many steps it takes."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.recipes import objective
from convergan.recipes.arms import (
    CONSISTENCY_TERMS,
    GAN_TERMS,
    arm_names,
    arm_recipe,
    has_arms,
    hold_out_recipe,
    is_planned,
    own_arm,
    with_plan_of,
)
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.files import (
    cost_sha256,
    read_recipe,
    recipe_from_dict,
    recipe_sha256,
    recipe_to_dict,
    recipe_to_yaml,
)
from convergan.recipes.networks import FrozenSettings, MLPSettings, PretrainedSettings
from convergan.recipes.plan import PlanSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import ConsistencySettings, SupervisedSettings, TermSettings, Weight
from convergan.train_commands import parse_train

GAN_RECIPE = replace(PRESETS["digits"], minutes=5)
COMPOSED = replace(
    GAN_RECIPE, objective=GAN_RECIPE.objective.with_term(ConsistencySettings(weight=1.0))
)


def weights(recipe: Recipe) -> dict[str, float]:
    return {name: term.weight for name, term in recipe.objective.terms().items() if term.weight > 0}


def test_a_recipe_is_named_for_what_it_is() -> None:
    assert own_arm(COMPOSED) == "composed"
    assert own_arm(GAN_RECIPE) == "gan"
    assert own_arm(arm_recipe(COMPOSED, "consistency")) == "consistency"
    assert own_arm(arm_recipe(COMPOSED, "baseline")) == "baseline"


@pytest.fixture
def smoothness(monkeypatch: pytest.MonkeyPatch) -> TermSettings:
    """A term of one's own, registered for one test."""
    monkeypatch.setattr(objective, "TERM_SETTINGS", dict(objective.TERM_SETTINGS))

    @dataclass(frozen=True, kw_only=True)
    class Smoothness(TermSettings):
        weight: Weight = 0.5

    objective.register_term_settings("smoothness", Smoothness)
    return Smoothness()


def test_a_recipe_whose_own_terms_are_all_that_it_adds_has_a_baseline(
    smoothness: TermSettings,
) -> None:
    alone = arm_recipe(COMPOSED, "baseline")
    recipe = replace(COMPOSED, objective=alone.objective.with_term(smoothness))
    assert arm_names(recipe) == ("custom", "baseline")
    assert weights(arm_recipe(recipe, "custom")) == {"supervised": 1, "smoothness": 0.5}
    assert weights(arm_recipe(recipe, "baseline")) == {"supervised": 1}
    # Beside other terms, those name the arm; a term with a weight of 0 does not count.
    assert (
        own_arm(replace(COMPOSED, objective=COMPOSED.objective.with_term(smoothness))) == "composed"
    )
    disabled = alone.objective.with_term(replace(smoothness, weight=0.0))
    assert own_arm(replace(COMPOSED, objective=disabled)) == "baseline"


def test_recipes_of_the_paper_have_no_arms() -> None:
    assert not has_arms(PRESETS["mnist"]) and not has_arms(PRESETS["digits"])
    assert has_arms(GAN_RECIPE) and has_arms(replace(PRESETS["digits"], arms=("gan",)))


def test_each_arm_is_there_once_the_recipes_own_first() -> None:
    every = replace(COMPOSED, arms=("gan", "frozen", "consistency"))
    assert arm_names(every) == ("composed", "baseline", "consistency", "gan", "frozen")
    # An arm that is the recipe itself is not trained twice.
    assert arm_names(replace(GAN_RECIPE, arms=("gan",))) == ("gan", "baseline")
    assert arm_names(replace(COMPOSED, baseline=False)) == ("composed",)
    unsupervised = GAN_RECIPE.objective.with_term(SupervisedSettings(weight=0.0))
    assert arm_names(replace(GAN_RECIPE, objective=unsupervised)) == ("gan",)


def test_an_arm_differs_from_the_recipe_in_its_terms_alone() -> None:
    full = weights(COMPOSED)
    assert weights(arm_recipe(COMPOSED, "composed")) == full
    assert weights(arm_recipe(COMPOSED, "baseline")) == {"supervised": full["supervised"]}
    without_gan = {name: weight for name, weight in full.items() if name not in GAN_TERMS}
    assert weights(arm_recipe(COMPOSED, "consistency")) == without_gan != full
    alone = {name: weight for name, weight in full.items() if name not in CONSISTENCY_TERMS}
    assert weights(arm_recipe(COMPOSED, "gan")) == alone != full
    for arm in ("composed", "baseline", "consistency", "gan"):
        recipe = arm_recipe(COMPOSED, arm)
        assert recipe.networks == COMPOSED.networks and recipe.optimizer == COMPOSED.optimizer
        # No baseline trains beside it, and it has no arms itself.
        assert not recipe.baseline and not has_arms(recipe)
    assert arm_recipe(COMPOSED, "frozen").networks.kind == "pretrained"


def test_arms_that_the_recipe_has_no_terms_for_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"^arms: expected arms that this recipe has terms for, got "
    ):
        arm_names(replace(GAN_RECIPE, arms=("consistency",)))


def test_the_order_of_arms_changes_nothing_and_each_stands_once() -> None:
    first = replace(COMPOSED, arms=("gan", "frozen"))
    second = replace(COMPOSED, arms=("frozen", "gan"))
    assert first == second and recipe_sha256(first) == recipe_sha256(second)
    with pytest.raises(UserError, match=r"^arms: expected each arm once"):
        replace(COMPOSED, arms=("gan", "gan"))


PLANNED = replace(
    COMPOSED,
    arms=("consistency",),
    plan=PlanSettings(minutes=5, epochs=7, hold_out_share=1 / 3, baseline=90, consistency=200),
    steps=150,
)


def test_a_planned_recipe_says_how_many_steps_each_arm_takes() -> None:
    assert is_planned(PLANNED)
    steps = {name: arm_recipe(PLANNED, name).steps for name in arm_names(PLANNED)}
    assert steps == {"composed": 150, "baseline": 90, "consistency": 200}
    held_out = {name: hold_out_recipe(PLANNED, name).steps for name in arm_names(PLANNED)}
    assert held_out == {"composed": 50, "baseline": 30, "consistency": 67}
    assert arm_recipe(PLANNED, "composed").epochs == 7
    # Never more epochs than steps.
    few_steps = replace(PLANNED, plan=replace(PLANNED.plan, baseline=3))
    assert arm_recipe(few_steps, "baseline").epochs == 3


def test_other_minutes_or_arms_are_planned_anew() -> None:
    assert not is_planned(replace(PLANNED, minutes=6))
    assert not is_planned(replace(PLANNED, arms=()))
    assert not is_planned(replace(PLANNED, arms=("consistency", "gan")))


def test_other_settings_that_decide_the_cost_are_planned_anew() -> None:
    plan = replace(PLANNED.plan, settings_sha256=cost_sha256(PLANNED))
    recipe = replace(PLANNED, plan=plan)
    same_cost = (
        recipe,
        replace(recipe, seed=7, labels=50),
        replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=0.1)),
        replace(recipe, data=replace(recipe.data, path=Path("elsewhere"), split_seed=3)),
    )
    different_cost = (
        replace(recipe, networks=MLPSettings(hidden=(2000, 10))),
        replace(recipe, augmentation=AugmentationSettings(kind="digits")),
        replace(recipe, batch_size=50),
        replace(recipe, data=replace(recipe.data, size_px=64)),
        replace(recipe, frozen=FrozenSettings(size_px=224)),
        replace(recipe, epochs=50),
    )
    assert all(is_planned(variant) for variant in same_cost)
    assert not any(is_planned(variant) for variant in different_cost)
    # A resumed run keeps its plan: what differs is refused by its own name.
    for changed in different_cost:
        resumed = with_plan_of(changed, recipe)
        assert (resumed.plan, resumed.steps) == (recipe.plan, recipe.steps)


def test_the_frozen_arm_has_the_network_that_the_recipe_names() -> None:
    recipe = replace(COMPOSED, arms=("frozen",), frozen=FrozenSettings(model="a/b", size_px=64))
    networks = arm_recipe(recipe, "frozen").networks
    assert networks == PretrainedSettings(model="a/b", size_px=64)
    assert FrozenSettings().networks == PretrainedSettings()
    words = ["digits", "--frozen.model", "a/b", "--frozen.size-px", "64"]
    assert parse_train(words, "convergan train").recipe.frozen == recipe.frozen
    assert recipe_from_dict(recipe_to_dict(recipe), "recipe") == recipe
    assert recipe_sha256(recipe) != recipe_sha256(replace(recipe, frozen=FrozenSettings()))


def test_the_same_command_takes_the_steps_of_the_run_that_it_resumes() -> None:
    requested = replace(COMPOSED, arms=("consistency",))
    assert with_plan_of(requested, PLANNED) == PLANNED
    # A setting that differs stays as requested, and is refused by its name.
    assert with_plan_of(replace(requested, minutes=9), PLANNED).minutes == 9


def test_recipe_yaml_keeps_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_to_yaml(PLANNED))
    assert read_recipe(path) == PLANNED
    assert recipe_sha256(read_recipe(path)) == recipe_sha256(PLANNED)


def test_settings_of_arms_at_their_defaults_are_in_no_hash() -> None:
    values = recipe_to_dict(PRESETS["mnist"])
    # As in a recipe.yaml from before there were arms.
    for name in ("steps", "minutes", "arms", "baseline_steps", "frozen", "plan"):
        del values[name]
    former = recipe_from_dict(values, "recipe")
    assert recipe_sha256(former) == recipe_sha256(PRESETS["mnist"])
    assert recipe_sha256(replace(former, baseline_steps=7)) != recipe_sha256(former)


def test_steps_and_minutes_are_not_both_given() -> None:
    with pytest.raises(UserError, match=r"^steps: expected none with minutes, which plan them"):
        replace(PRESETS["digits"], steps=500, minutes=2)
    with pytest.raises(UserError, match=r"^steps: expected at least as many as epochs"):
        replace(PRESETS["digits"], steps=5, epochs=6)
