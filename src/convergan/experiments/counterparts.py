"""Recipes of a table compared with the paper's."""

from convergan.errors import quoted
from convergan.experiments.cells import Cell, with_draw
from convergan.experiments.tables import Table
from convergan.recipes.files import FREE_TO_CHANGE, first_difference
from convergan.recipes.members import model_sha256
from convergan.recipes.presets import DESCRIPTIONS, PRESETS, SUMMARIES
from convergan.recipes.settings import Recipe


def has_counterpart(table: Table, recipe: Recipe) -> bool:
    """True if numbers by a recipe may stand beside the paper's.

    Such a recipe is trained on a data set of the table's own recipes, and is none of the `separate` presets.
    A table without published numbers takes all recipes.
    """
    sources = {PRESETS[name].data.source for name in table.recipes}
    return not table.published or (
        recipe.name not in table.separate and recipe.data.source in sources
    )


def recipe_note(table: Table, cell: Cell) -> str | None:
    """A line on the recipe of a cell: what it is, and its departures from the paper's; None if the title of
    the table says all.
    """
    recipe = cell.recipe
    name = recipe.name
    if name not in PRESETS:
        return (
            f"{name}: a recipe from a file: {recipe.epochs:,} epochs on {recipe.data.source}, not the"
            " paper's settings"
        )
    preset = with_draw(PRESETS[name], labels=recipe.labels, draw=cell.draw).recipe
    if model_sha256(preset) != model_sha256(recipe):
        changed = first_difference(recipe, preset, FREE_TO_CHANGE) or ("", "", "")
        return (
            f"{name}: a recipe from a file, whose settings are not those of the preset of that name; the"
            f" first difference: {changed[0]} {quoted(changed[1])} in place of {quoted(changed[2])}"
        )
    if not has_counterpart(table, recipe):
        return f"{name}: {DESCRIPTIONS[name]}"
    if name in table.departures:
        return f"{name}: {table.departures[name]}"
    return None if name in table.recipes else f"{name}: {SUMMARIES[name]}"
