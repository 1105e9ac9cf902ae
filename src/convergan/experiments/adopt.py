"""Runs that `convergan train` made, counted as the cells whose settings they have."""

from collections.abc import Sequence
from pathlib import Path

from convergan.errors import UserError
from convergan.experiments.cells import Cell, Ensemble, Training
from convergan.experiments.plan import Plan
from convergan.experiments.store import Store
from convergan.recipes.files import read_recipe
from convergan.recipes.members import is_ensemble, member_recipes
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder


def adopt(plan: Plan, store: Store, folders: Sequence[Path]) -> list[tuple[Cell, Path]]:
    """Keeps the results of finished runs below some folders that have the settings of missing cells.

    Args:
        plan: the table whose cells are looked for.
        store: where what they came to is kept; the runs stay where they are.
        folders: of runs, at any depth.

    Returns:
        Each cell that is done now, and its run folder.

    Raises:
        UserError: a folder is not there, or a run in it is damaged.
    """
    wanted = {cell.name: cell for cell in plan.cells()}
    adopted = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"adopt: expected a folder of runs, got {folder}")
        for path in sorted(folder.rglob("results.json")):
            run = RunFolder(path.parent)
            if not run.recipe.exists():
                continue
            cell = wanted.get(_cell_of(read_recipe(run.recipe)).name)
            if cell is not None and store.found(cell) is None:
                store.keep(plan.table.name, cell, run.path)
                adopted.append((cell, run.path))
    return adopted


def _cell_of(recipe: Recipe) -> Training | Ensemble:
    """What a run of a recipe is in a table."""
    if not is_ensemble(recipe):
        return Training(recipe=recipe)
    return Ensemble(members=tuple(Training(recipe=each) for each in member_recipes(recipe)))
