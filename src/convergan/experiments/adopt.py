"""Runs that `convergan train` made, counted as the cells whose settings they have."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from convergan.errors import UserError
from convergan.experiments.cells import Ensemble, Training
from convergan.experiments.images import are_others
from convergan.experiments.plan import Plan
from convergan.experiments.store import Store, outcome_in
from convergan.recipes.files import read_recipe
from convergan.recipes.members import is_ensemble, member_recipes
from convergan.recipes.settings import DataSettings, Recipe
from convergan.runs.folder import RunFolder


def adopt(
    plan: Plan, store: Store, folders: Sequence[Path], images: Mapping[DataSettings, str]
) -> list[str]:
    """Take finished runs below some folders for the missing cells whose settings they have.

    Args:
        plan: the table whose cells are looked for.
        store: the store that keeps their results, and links to the runs, which stay where they are.
        folders: folders with runs at any depth.
        images: fingerprints of the images of the table, as far as they are known.

    Returns:
        A line for each cell that is done now, and for each run that cannot be read or used other images.

    Raises:
        UserError: a folder is missing.
    """
    cells = {cell.name: cell for cell in plan.cells()}
    lines = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"adopt: expected a folder of runs, got {folder}")
        for path in sorted(folder.rglob("results.json")):
            run = RunFolder(path.parent)
            if not run.recipe.exists():
                continue
            try:
                cell = cells.get(_cell_of(read_recipe(run.recipe)).name)
                if cell is None or store.outcome(cell) is not None:
                    continue
                if are_others(images, cell, outcome_in(run.path, cell)):
                    lines.append(f"not adopted: {run.path}, which used other images")
                    continue
                store.keep(plan.table.name, cell, run.path)
            except UserError as error:
                lines.append(f"not adopted: {error}")
                continue
            store.adopt(cell, run.path)
            lines.append(f"{cell.title}: adopted from {run.path}")
    return lines


def _cell_of(recipe: Recipe) -> Training | Ensemble:
    """The cell of a table that a run of the recipe fills."""
    if not is_ensemble(recipe):
        return Training(recipe=recipe)
    return Ensemble(members=tuple(Training(recipe=member) for member in member_recipes(recipe)))
