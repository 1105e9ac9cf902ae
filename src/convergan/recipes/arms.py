"""The arms of a run: recipes derived from the run's own, one for each model that is compared with it."""

from collections.abc import Callable
from dataclasses import replace

from convergan.errors import UserError
from convergan.recipes.files import cost_sha256
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.plan import PlanSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import FeatureMatchingSettings, RealOrGeneratedSettings

BASELINE, CONSISTENCY, GAN, FROZEN = "baseline", "consistency", "gan", "frozen"

COMPOSED = "composed"
"""Name of a recipe's own model where it has consistency and a GAN's terms."""

CUSTOM = "custom"
"""Name of a recipe's own model where terms of one's own alone are beside those of the baseline."""

CONSISTENCY_TERMS = ("consistency", "conditional_entropy")
"""Terms of the discriminator that unlabelled images alone are for."""

GAN_TERMS = (
    "real_or_generated",
    "feature_matching",
    "minimax",
    "non_saturating",
    "target",
    "pull_away",
)
"""Terms of the game with the generator."""


def has_arms(recipe: Recipe) -> bool:
    """True if each model that a recipe compares is a training of its own."""
    return recipe.minutes is not None or bool(recipe.arms)


def own_arm(recipe: Recipe) -> str:
    """The name of the recipe's own model, for what it is."""
    objective = recipe.objective
    with_consistency = _any(objective, CONSISTENCY_TERMS)
    if _any(objective, GAN_TERMS):
        return COMPOSED if with_consistency else GAN
    if with_consistency:
        return CONSISTENCY
    with_others = any(term.weight > 0 for term in objective.others)
    return CUSTOM if with_others else BASELINE


def arm_names(recipe: Recipe) -> tuple[str, ...]:
    """The arms of a recipe: its own first, then `baseline`, then those that it asks for, each once.

    Raises:
        UserError: an arm is asked for that the recipe has no terms for.
    """
    own = own_arm(recipe)
    for name in (COMPOSED, CONSISTENCY):
        if name in recipe.arms and not _any(recipe.objective, CONSISTENCY_TERMS):
            raise UserError(
                f"arms: expected arms that this recipe has terms for, got {name}; "
                f"--objective.consistency.weight 1 is one"
            )
    wanted = [own]
    if recipe.baseline and recipe.objective.is_supervised:
        wanted.append(BASELINE)
    wanted += [name for name in (COMPOSED, CONSISTENCY, GAN, FROZEN) if name in recipe.arms]
    return tuple(dict.fromkeys(wanted))


def arm_recipe(recipe: Recipe, arm: str) -> Recipe:
    """The recipe of one arm alone, of as many steps as are planned for it.

    Terms of one's own, that a recipe has beside the declared ones, are those of its own arm alone.
    """
    plan = recipe.plan
    is_own = arm == own_arm(recipe)
    steps = recipe.steps if is_own else plan.steps_of(arm)
    epochs = plan.epochs or recipe.epochs
    return replace(
        recipe,
        objective=recipe.objective if is_own else _OBJECTIVES[arm](recipe.objective),
        networks=recipe.frozen.networks if arm == FROZEN else recipe.networks,
        baseline=False,
        arms=(),
        minutes=None,
        plan=PlanSettings(),
        epochs=epochs if steps is None else min(epochs, steps),
        steps=steps,
    )


def hold_out_recipe(recipe: Recipe, arm: str) -> Recipe:
    """The recipe of an arm's training whose held-out labels choose among the arms: of fewer steps."""
    alone = arm_recipe(recipe, arm)
    if alone.steps is None:
        return alone
    steps = max(1, round(recipe.plan.hold_out_share * alone.steps))
    if arm == BASELINE and recipe.plan.baseline_hold_out is not None:
        steps = recipe.plan.baseline_hold_out
    return replace(alone, steps=steps, epochs=min(alone.epochs, steps))


def is_planned(recipe: Recipe) -> bool:
    """True if it is known how many steps each arm takes, and they were planned for these minutes and for the
    settings that decide how long a step takes."""
    others = [name for name in arm_names(recipe) if name != own_arm(recipe)]
    every = (BASELINE, COMPOSED, CONSISTENCY, GAN, FROZEN)
    return (
        recipe.steps is not None
        and recipe.plan.minutes == recipe.minutes
        and recipe.plan.settings_sha256 in (None, cost_sha256(recipe))
        and all((recipe.plan.steps_of(name) is not None) == (name in others) for name in every)
    )


def with_plan_of(recipe: Recipe, planned: Recipe) -> Recipe:
    """The recipe with the steps that were planned for it when a run of it began."""
    if is_planned(recipe) or recipe.minutes != planned.minutes:
        return recipe
    return replace(recipe, plan=planned.plan, steps=planned.steps)


def without_classes(objective: ObjectiveSettings) -> ObjectiveSettings:
    """The objective of a generator alone: the recipe's GAN, or else the paper's, without terms of classes."""
    objective = _composed(objective)
    objective = objective.with_term(replace(objective.supervised, weight=0.0))
    return _off(objective, CONSISTENCY_TERMS)


def _any(objective: ObjectiveSettings, names: tuple[str, ...]) -> bool:
    terms = objective.terms()
    return any(terms[name].weight > 0 for name in names if name in terms)


def _off(objective: ObjectiveSettings, names: tuple[str, ...]) -> ObjectiveSettings:
    """The objective with these terms at weight 0."""
    terms = objective.terms()
    for name in names:
        if name in terms:
            objective = objective.with_term(replace(terms[name], weight=0.0))
    return objective


def _without(objective: ObjectiveSettings, names: tuple[str, ...]) -> ObjectiveSettings:
    """The objective with these terms at weight 0, and without those that others registered."""
    return _off(replace(objective, others=()), names)


def _supervised_alone(objective: ObjectiveSettings) -> ObjectiveSettings:
    others = tuple(name for name in objective.terms() if name != "supervised")
    return replace(_without(objective, others), update="alternating", generator_steps=1)


def _consistency(objective: ObjectiveSettings) -> ObjectiveSettings:
    return replace(_without(objective, GAN_TERMS), update="alternating", generator_steps=1)


def _gan(objective: ObjectiveSettings) -> ObjectiveSettings:
    return _without(_composed(objective), CONSISTENCY_TERMS)


def _composed(objective: ObjectiveSettings) -> ObjectiveSettings:
    """The objective with a GAN: its own, or else the paper's, the loss of Section 5 with feature matching."""
    if _any(objective, GAN_TERMS):
        return objective
    real_or_generated = RealOrGeneratedSettings().weight
    for settings in (
        replace(objective.real_or_generated, weight=real_or_generated),
        replace(objective.feature_matching, weight=FeatureMatchingSettings().weight),
    ):
        objective = objective.with_term(settings)
    return objective


_OBJECTIVES: dict[str, Callable[[ObjectiveSettings], ObjectiveSettings]] = {
    BASELINE: _supervised_alone,
    COMPOSED: _composed,
    CONSISTENCY: _consistency,
    GAN: _gan,
    FROZEN: _supervised_alone,
}
"""Objective of each arm, as a function of the recipe's objective."""
