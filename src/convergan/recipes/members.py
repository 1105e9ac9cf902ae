"""The members of an ensemble: recipes that differ only in their seed."""

from dataclasses import replace

from convergan.recipes.arms import has_arms
from convergan.recipes.files import recipe_sha256
from convergan.recipes.settings import Recipe


def is_ensemble(recipe: Recipe) -> bool:
    """True if a recipe trains several models, whose class probabilities are averaged."""
    return recipe.members > 1


def split_seed(recipe: Recipe) -> int:
    """The seed that decides which images are labelled, held out and in which fold."""
    return recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed


def member_recipes(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipes of an ensemble's members, which have consecutive seeds and the same labelled images."""
    data = replace(recipe.data, split_seed=split_seed(recipe))
    return tuple(
        replace(recipe, members=1, seed=recipe.seed + number, data=data)
        for number in range(recipe.members)
    )


def model_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of the settings that decide a run's classifier and generator.

    The supervised baseline, which has its own random numbers, affects neither, unless it is an arm. A
    `split_seed` equal to the seed counts as unset, and how members are trained does not count.
    """
    data, hardware = recipe.data, replace(recipe.hardware, members="auto")
    if data.split_seed == recipe.seed:
        data = replace(data, split_seed=None)
    baseline = recipe.baseline if has_arms(recipe) else False
    return recipe_sha256(replace(recipe, data=data, hardware=hardware, baseline=baseline))
