"""The folder of an experiment: the outcome of each cell, in a folder that its settings name."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import TypeAdapter

from convergan.errors import UserError
from convergan.experiments.cells import Cell, Ensemble, Scoring, Training
from convergan.files import make_folder
from convergan.json_files import read_json, read_json_as, write_json
from convergan.recipes.files import read_recipe, recipe_to_dict
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics

_COUNT = Annotated[int, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class MemberOutcome:
    """The outcome of one model of an ensemble."""

    seed: _COUNT
    test_errors: _COUNT
    test_error_rate: float


@dataclass(frozen=True, kw_only=True)
class CellOutcome:
    """The outcome of a cell: the keys of its results.json that tables need."""

    recipe: str
    seed: _COUNT
    sha256: str | None = None
    """Hash of the settings; None in the results.json of a run folder."""

    labels: _COUNT | None = None
    epochs: _COUNT | None = None
    test_size: _COUNT | None = None
    test_errors: _COUNT | None = None
    score: float | None = None
    """The Inception score."""

    stdev: float | None = None
    """Standard deviation of the score over parts of the images."""

    train_seconds: float | None = None
    """Duration of the training; for an ensemble, the sum over its members."""

    device: str | None = None
    precision: str | None = None
    members: tuple[MemberOutcome, ...] = ()
    trained_at_commits: tuple[str, ...] = ()
    """Commits of the code that trained it, in their order."""

    data_fingerprint: str | None = None
    """SHA-256 that identifies its images; None where it was not kept."""

    network: str | None = None
    """The network that scored it, and the SHA-256 of its weights."""

    baseline_test_errors: _COUNT | None = None
    """Test errors of a supervised baseline that was trained as well, within the same seconds."""

    adopted_from: str | None = None
    """Name of the folder of the run that it was taken from, if it was trained by other means. The place of
    the folder is left out, as for other files: results are shared."""


_OUTCOME = TypeAdapter(CellOutcome)


class Store:
    """Finished cells, and the places of the others.

    Args:
        folder: folder of the experiment: `cells/<name>/` for runs, ensembles and scores.
        results: folder of the results of finished cells, `<table>/<name>/results.json`: a cell with a result
            there is not run again, whether or not its run folder still exists.
    """

    def __init__(self, folder: Path, results: Path) -> None:
        self.folder, self.results = folder, results
        self.problems: dict[str, str] = {}
        """Faults of damaged results, by the name of the cell."""

    def cell_folder(self, cell: Cell) -> Path:
        """Folder in which a cell is computed."""
        return self.folder / "cells" / cell.name

    def log(self, cell: Cell) -> Path:
        """File with the output of the worker of a cell."""
        return self.folder / "logs" / f"{cell.name}.log"

    def outcome(self, cell: Cell) -> CellOutcome | None:
        """The outcome of a cell; None where it is not done.

        A file that is damaged, or belongs to another cell, is noted in `problems`.
        """
        folder = self.cell_folder(cell)
        for place in (folder / "results.json", *self._kept_files(cell)):
            if not place.exists():
                continue
            try:
                outcome = (
                    outcome_in(folder, cell) if place.parent == folder else _outcome(place, cell)
                )
            except UserError as error:
                self.problems[cell.name] = f"{error}; without that file the cell is computed again"
                continue
            self.problems.pop(cell.name, None)
            return outcome
        return None

    def is_usable(self, cell: Cell) -> bool:
        """True if a finished cell can be used by others, which need more than its numbers."""
        folder = self.cell_folder(cell)
        return (folder / "results.json").exists() and (
            not isinstance(cell, Training) or RunFolder(folder).model.is_dir()
        )

    def adopt(self, cell: Cell, run: Path) -> None:
        """Make the folder of a cell a link to a finished run; an existing folder stays."""
        link = self.cell_folder(cell)
        make_folder(link.parent)
        # Without links only the run's results are kept: cells that need the run are trained.
        with suppress(OSError):
            link.symlink_to(run.resolve(), target_is_directory=True)

    def make_way(self, cell: Cell) -> None:
        """Remove a link to an adopted run that is no longer there, before the cell is computed."""
        folder = self.cell_folder(cell)
        if folder.is_symlink() and not folder.exists():
            folder.unlink()

    def keep(self, table: str, cell: Cell, run: Path | None = None) -> None:
        """Copy the outcome of a finished cell, from its own folder or an adopted run, to the results of a
        table.

        Raises:
            UserError: it is damaged, or the copy cannot be written.
        """
        source = run or self.cell_folder(cell)
        target = self.results / table / cell.name / "results.json"
        if target.exists() or not (source / "results.json").exists():
            return
        _outcome(source / "results.json", cell)
        content = kept_content(cell, source)
        if run is not None:
            content["adopted_from"] = run.resolve().name
        make_folder(target.parent)
        write_json(target, content)

    def _kept_files(self, cell: Cell) -> list[Path]:
        # Not by a pattern: a recipe's name may hold any character of one.
        tables = sorted(self.results.iterdir()) if self.results.is_dir() else []
        return [table / cell.name / "results.json" for table in tables]


def outcome_in(folder: Path, cell: Cell) -> CellOutcome:
    """The outcome of a cell, given the folder in which it was computed.

    Raises:
        UserError: it is damaged, or belongs to another cell.
    """
    outcome = _outcome(folder / "results.json", cell)
    return replace(outcome, **_facts_of_run(cell, folder))


def _outcome(path: Path, cell: Cell) -> CellOutcome:
    outcome = read_json_as(path, _OUTCOME, "the results of a cell")
    _require_of(path, outcome, cell)
    return outcome


def kept_content(cell: Cell, folder: Path) -> dict[str, Any]:
    """Content kept of a finished cell: its results, their settings and images, errors by epoch, commits."""
    results = read_json(folder / "results.json")
    content: dict[str, Any] = {**results, "sha256": cell.sha256, **_facts_of_run(cell, folder)}
    run = RunFolder(folder)
    if isinstance(cell, Training):
        content["errors_by_epoch"] = _errors_by_epoch(run)
    if isinstance(cell, Ensemble):
        content["errors_by_epoch_of_members"] = [
            _errors_by_epoch(run.member(member.recipe.seed)) for member in cell.members
        ]
    if not isinstance(cell, Scoring):
        # An adopted run may have had a baseline.
        recipe = read_recipe(run.recipe) if run.recipe.exists() else cell.recipe
        content["settings"] = _settings(recipe)
    elif not cell.real:
        content["settings"] = _settings(cell.recipe)
    return content


def _errors_by_epoch(run: RunFolder) -> list[int | None]:
    return [line.test_errors for line in read_metrics(run.metrics)]


def _facts_of_run(cell: Cell, folder: Path) -> dict[str, Any]:
    """Images and commits of a run (for an ensemble, its members' too), and its name if it was adopted; empty
    for a score, whose results have them.
    """
    run = RunFolder(folder)
    if isinstance(cell, Scoring) or not run.manifest.exists():
        return {}
    members = cell.members if isinstance(cell, Ensemble) else ()
    runs = [*(run.member(member.recipe.seed) for member in members), run]
    manifests = [part.read_manifest() for part in runs if part.manifest.exists()]
    processes = [process for manifest in manifests for process in (manifest, *manifest.resumed)]
    commits = dict.fromkeys(process.git_commit for process in processes if process.git_commit)
    facts = {
        "data_fingerprint": manifests[-1].data.fingerprint,
        "trained_at_commits": tuple(commits),
    }
    return facts | ({"adopted_from": folder.resolve().name} if folder.is_symlink() else {})


def _settings(recipe: Recipe) -> Mapping[str, Any]:
    """All settings except the places of files on the machine."""
    settings = recipe_to_dict(recipe)
    for name in ("path", "cache"):
        settings["data"].pop(name)
    return settings


def write_outcome(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the results.json of an ensemble or a score, the mark that it is done."""
    make_folder(folder)
    write_json(folder / "results.json", content)


def _require_of(place: Path, outcome: CellOutcome, cell: Cell) -> None:
    recipe = cell.recipe
    expected = {"recipe": recipe.name, "seed": recipe.seed, "sha256": cell.sha256}
    if not isinstance(cell, Scoring) and recipe.labels is not None:
        expected["labels"] = recipe.labels
    if isinstance(cell, Ensemble):
        expected["seed"] = cell.draw
    for name, value in expected.items():
        actual = getattr(outcome, name)
        if actual != value and not (name == "sha256" and actual is None):
            raise UserError(
                f"{place}: expected the results of {cell.title} ({name} {value}), got {actual}"
            )
