"""The arms of a run: the recipe itself, and one derived from it for each model that it is compared with."""

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
"""Name of a recipe's own model where it has custom terms, and no others, in addition to the baseline's."""

CONSISTENCY_TERMS = ("consistency", "conditional_entropy")
"""Terms of the discriminator that learn from unlabelled images without a generator."""

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
    """True if each model that a recipe compares has trainings of its own."""
    return recipe.minutes is not None or bool(recipe.arms)


def own_arm(recipe: Recipe) -> str:
    """The name of the recipe's own model, which follows from its terms."""
    objective = recipe.objective
    with_consistency = _has_any(objective, CONSISTENCY_TERMS)
    if _has_any(objective, GAN_TERMS):
        return COMPOSED if with_consistency else GAN
    if with_consistency:
        return CONSISTENCY
    with_custom_terms = any(term.weight > 0 for term in objective.others)
    return CUSTOM if with_custom_terms else BASELINE


def arm_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of a recipe's arms, each once: its own, then `baseline`, then those in its `arms`.

    Raises:
        UserError: the recipe has no terms for an arm in its `arms`.
    """
    own = own_arm(recipe)
    for name in (COMPOSED, CONSISTENCY):
        if name in recipe.arms and not _has_any(recipe.objective, CONSISTENCY_TERMS):
            raise UserError(
                f"arms: expected arms that this recipe has terms for, got {name}; "
                f"--objective.consistency.weight 1 adds one"
            )
    names = [own]
    if recipe.baseline and recipe.objective.is_supervised:
        names.append(BASELINE)
    names += [name for name in (COMPOSED, CONSISTENCY, GAN, FROZEN) if name in recipe.arms]
    return tuple(dict.fromkeys(names))


def arm_recipe(recipe: Recipe, arm: str) -> Recipe:
    """The recipe of one arm alone, with the number of steps that is planned for it.

    Custom terms, which a recipe has in addition to the declared ones, belong to its own arm only.
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
    """The recipe of an arm's trainings with held-out labels, by which an arm is chosen. It has fewer
    steps.
    """
    alone = arm_recipe(recipe, arm)
    if alone.steps is None:
        return alone
    steps = max(1, round(recipe.plan.hold_out_share * alone.steps))
    if arm == BASELINE and recipe.plan.baseline_hold_out is not None:
        steps = recipe.plan.baseline_hold_out
    return replace(alone, steps=steps, epochs=min(alone.epochs, steps))


def is_planned(recipe: Recipe) -> bool:
    """True if the steps of each arm are planned, for the recipe's minutes and for the settings that decide
    the duration of a step.
    """
    other_arms = [name for name in arm_names(recipe) if name != own_arm(recipe)]
    all_arms = (BASELINE, COMPOSED, CONSISTENCY, GAN, FROZEN)
    return (
        recipe.steps is not None
        and recipe.plan.minutes == recipe.minutes
        and recipe.plan.settings_sha256 in (None, cost_sha256(recipe))
        and all(
            (recipe.plan.steps_of(name) is not None) == (name in other_arms) for name in all_arms
        )
    )


def with_plan_of(recipe: Recipe, planned: Recipe) -> Recipe:
    """The recipe with the plan that was made when a run of it began."""
    if is_planned(recipe) or recipe.minutes != planned.minutes:
        return recipe
    return replace(recipe, plan=planned.plan, steps=planned.steps)


def without_classes(objective: ObjectiveSettings) -> ObjectiveSettings:
    """The objective of a generator alone: the recipe's GAN, or else the paper's, without terms for
    classes.
    """
    objective = _composed(objective)
    objective = objective.with_term(replace(objective.supervised, weight=0.0))
    return _switched_off(objective, CONSISTENCY_TERMS)


def _has_any(objective: ObjectiveSettings, names: tuple[str, ...]) -> bool:
    terms = objective.terms()
    return any(terms[name].weight > 0 for name in names if name in terms)


def _switched_off(objective: ObjectiveSettings, names: tuple[str, ...]) -> ObjectiveSettings:
    """The objective with these terms at weight 0."""
    terms = objective.terms()
    for name in names:
        if name in terms:
            objective = objective.with_term(replace(terms[name], weight=0.0))
    return objective


def _without_terms(objective: ObjectiveSettings, names: tuple[str, ...]) -> ObjectiveSettings:
    """The objective with these terms at weight 0, and without custom terms."""
    return _switched_off(replace(objective, others=()), names)


def _supervised_alone(objective: ObjectiveSettings) -> ObjectiveSettings:
    other_terms = tuple(name for name in objective.terms() if name != "supervised")
    return replace(_without_terms(objective, other_terms), update="alternating", generator_steps=1)


def _consistency(objective: ObjectiveSettings) -> ObjectiveSettings:
    return replace(_without_terms(objective, GAN_TERMS), update="alternating", generator_steps=1)


def _gan(objective: ObjectiveSettings) -> ObjectiveSettings:
    return _without_terms(_composed(objective), CONSISTENCY_TERMS)


def _composed(objective: ObjectiveSettings) -> ObjectiveSettings:
    """The objective with a GAN: its own, or else the paper's, which is Section 5 with feature matching."""
    if _has_any(objective, GAN_TERMS):
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
