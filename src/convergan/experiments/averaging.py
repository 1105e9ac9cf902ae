"""The ensemble of runs that have been trained already, each as a cell of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from convergan.errors import UserError
from convergan.files import make_folder
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.training.options import RunOptions
from convergan.training.run import train


def average(recipe: Recipe, folder: Path, members: Sequence[Path], console: Console) -> None:
    """Make the run folder of an ensemble, whose `members/<seed>` are links to its members' run folders.

    It has results, model and report like a run of `train`.

    Args:
        recipe: the recipe of the first member.
        folder: run folder of the ensemble.
        members: finished run folders with consecutive seeds.
        console: console for the progress.

    Raises:
        UserError: a member is not finished.
    """
    ensemble = replace(recipe, members=len(members))
    run = RunFolder(folder)
    run.begin(ensemble, resume=True)
    make_folder(run.members)
    for member in members:
        results = RunFolder(member).read_results()
        if results is None:
            raise UserError(f"{member}: expected a finished run, got one that is not")
        link = run.member(results.seed).path
        if not link.is_symlink():
            # Relative: the link stays valid when the folder of the experiment is moved.
            link.symlink_to(Path("..") / ".." / member.name, target_is_directory=True)
    train(ensemble, folder, options=RunOptions(resume=True), console=console)
