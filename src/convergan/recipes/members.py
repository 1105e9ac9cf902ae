"""The members of an ensemble: recipes that differ in their seed alone."""

from dataclasses import replace

from convergan.recipes.settings import Recipe


def is_ensemble(recipe: Recipe) -> bool:
    """True if a recipe trains several models, whose class probabilities are averaged."""
    return recipe.members > 1


def split_seed(recipe: Recipe) -> int:
    """The seed that decides which images are labelled, held out and in which fold."""
    return recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed


def member_recipes(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipes of an ensemble's members: consecutive seeds, and the draw of labels of the ensemble."""
    data = replace(recipe.data, split_seed=split_seed(recipe))
    return tuple(
        replace(recipe, members=1, seed=recipe.seed + number, data=data)
        for number in range(recipe.members)
    )
