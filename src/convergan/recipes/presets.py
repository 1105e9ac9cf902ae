"""The list of recipes. A new one is a file in this folder and a name in `_FILES`."""

from convergan.errors import UserError, quoted
from convergan.recipes import (
    cifar10,
    cifar10_minibatch,
    cifar10_samples,
    digits,
    digits_fast,
    folder,
    imagenet,
    mnist,
    mnist_fast,
    mnist_minibatch,
    mnist_paper,
    svhn,
    svhn_minibatch,
)
from convergan.recipes.settings import Recipe

_FILES = (
    digits,
    digits_fast,
    mnist,
    mnist_paper,
    mnist_fast,
    mnist_minibatch,
    cifar10,
    cifar10_minibatch,
    cifar10_samples,
    svhn,
    svhn_minibatch,
    imagenet,
    folder,
)

PRESETS: dict[str, Recipe] = {
    recipe.name: recipe
    for file in _FILES
    for recipe in (file.RECIPE, *getattr(file, "ABLATIONS", {}).values())
}
"""The recipes that come with the package, by name."""

SUMMARIES: dict[str, str] = {
    **{
        file.RECIPE.name: (file.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        for file in _FILES
    },
    **{
        recipe.name: f"{cifar10_samples.RECIPE.name} with {difference}: an ablation of Table 3."
        for difference, recipe in cifar10_samples.ABLATIONS.items()
    },
}
"""Purpose of each recipe, in a sentence."""

DESCRIPTIONS: dict[str, str] = SUMMARIES | {
    file.RECIPE.name: " ".join((file.__doc__ or "").split()) for file in _FILES
}
"""The whole docstring of each recipe's file, in one line."""


def as_recipe(recipe: Recipe | str) -> Recipe:
    """The recipe itself, or the preset of that name.

    Raises:
        UserError: there is no preset of that name, or the argument is neither a recipe nor a name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str) and recipe in PRESETS:
        return PRESETS[recipe]
    raise UserError(
        f"recipe: expected a Recipe or one of {', '.join(PRESETS)}, got {quoted(recipe)}"
    )
