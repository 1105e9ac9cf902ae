"""An ensemble of runs: the class probabilities of its members, averaged, on the test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convergan.data.test_set import TestSet
from convergan.errors import UserError
from convergan.experiments.store import write_outcome
from convergan.files import make_folder
from convergan.inference.predict import predict
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import git_commit, versions
from convergan.runs.results import Results
from convergan.training.preparation import prepare


def average(recipe: Recipe, folder: Path, members: Sequence[Path], sha256: str) -> None:
    """Writes the results.json of an ensemble, and `members/<seed>`, links to its members' run folders.

    Args:
        recipe: of the members, with the images.
        folder: of the ensemble.
        members: finished run folders.
        sha256: hash of the settings that decide the result.

    Raises:
        UserError: a member is not finished, or there are no test images.
    """
    test_set = _test_set(recipe)
    images = np.stack([test_set.images[index] for index in range(len(test_set))])
    results = [_results(member) for member in members]
    mean = np.zeros((len(test_set), len(test_set.classes)))
    for member in members:
        mean += predict(member, images).probabilities.astype(np.float64) / len(members)
    errors = test_set.count_errors(mean.argmax(axis=1))
    _link(folder, [(member, result.seed) for member, result in zip(members, results, strict=True)])
    first = results[0]
    write_outcome(
        folder,
        {
            "recipe": first.recipe,
            "labels": first.labels,
            "seed": recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed,
            "epochs": first.epochs,
            "test_size": len(test_set),
            "test_errors": errors,
            "test_error_rate": errors / len(test_set),
            "members": [
                {
                    "seed": result.seed,
                    "test_errors": result.test_errors,
                    "test_error_rate": result.test_error_rate,
                }
                for result in results
            ],
            "train_seconds": sum(result.train_seconds for result in results),
            "device": "; ".join(sorted({result.device for result in results})),
            "precision": "; ".join(sorted({result.precision for result in results})),
            "versions": versions(),
            "git_commit": git_commit(),
            "sha256": sha256,
        },
    )


def _test_set(recipe: Recipe) -> TestSet:
    preparation = prepare(recipe, None, processes=1, finished=True)
    if preparation.split.test is None:
        raise UserError(
            f"{preparation.data.source}: expected test images for an ensemble, got none"
        )
    return preparation.split.test


def _results(member: Path) -> Results:
    found = RunFolder(member).read_results()
    if found is None or found.test_errors is None:
        raise UserError(f"{member}: expected a finished run that was tested, got none")
    return found


def _link(folder: Path, members: Sequence[tuple[Path, int]]) -> None:
    """Makes the members' folders found in the ensemble's, wherever both are moved together."""
    place = folder / "members"
    make_folder(place)
    for member, seed in members:
        link = place / str(seed)
        if not link.is_symlink():
            link.symlink_to(Path("..") / ".." / member.name, target_is_directory=True)
