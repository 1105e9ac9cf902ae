"""The folder of an experiment: what each cell came to, in a folder of its own that its settings name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import TypeAdapter

from convergan.errors import UserError
from convergan.experiments.cells import Cell, Ensemble, Scoring, Training
from convergan.files import make_folder
from convergan.json_files import read_json, read_json_as, write_json
from convergan.recipes.files import recipe_to_dict
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics

_COUNT = Annotated[int, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class MemberOutcome:
    """What one model of an ensemble came to."""

    seed: _COUNT
    test_errors: _COUNT
    test_error_rate: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a cell came to: the keys that tables need of its results.json."""

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
    """Its deviation over parts of the images."""

    train_seconds: float | None = None
    """Of an ensemble the sum over its members."""

    device: str | None = None
    precision: str | None = None
    members: tuple[MemberOutcome, ...] = ()
    trained_at_commits: tuple[str, ...] = ()


_OUTCOME = TypeAdapter(Outcome)


class Store:
    """What is done, and where what is not done goes.

    Args:
        folder: of the experiment: `cells/<name>/` are run folders, and folders of ensembles and scores.
        kept: folder of the results that are kept of finished cells, `<table>/<name>/results.json`: a cell
            that is there is not run again, whether or not its run folder is still there.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder, kept

    def cell_folder(self, cell: Cell) -> Path:
        """Where a cell is computed."""
        return self.folder / "cells" / cell.name

    def log(self, cell: Cell) -> Path:
        """The file of what its worker prints."""
        return self.folder / "logs" / f"{cell.name}.log"

    def found(self, cell: Cell) -> Outcome | None:
        """What a cell came to; None where it is not done.

        Raises:
            UserError: its file is damaged, or is of another cell.
        """
        places = [self.cell_folder(cell) / "results.json", *self._kept_files(cell)]
        for place in places:
            if place.exists():
                outcome = read_json_as(place, _OUTCOME, "the results of a cell")
                _require_of(place, outcome, cell)
                return outcome
        return None

    def is_usable(self, cell: Cell) -> bool:
        """True if a finished cell can be used by others, which need more than its numbers."""
        folder = self.cell_folder(cell)
        return (folder / "results.json").exists() and (
            not isinstance(cell, Training) or RunFolder(folder).model.is_dir()
        )

    def keep(self, table: str, cell: Cell, folder: Path | None = None) -> None:
        """Copies what a finished cell came to, in its own folder or another, to what is kept for a table."""
        source = folder or self.cell_folder(cell)
        target = self.kept / table / cell.name / "results.json"
        if target.exists() or not (source / "results.json").exists():
            return
        make_folder(target.parent)
        write_json(target, kept_content(cell, source))

    def _kept_files(self, cell: Cell) -> list[Path]:
        # Not by a pattern: a recipe's name may hold any character of one.
        tables = sorted(self.kept.iterdir()) if self.kept.is_dir() else []
        return [table / cell.name / "results.json" for table in tables]


def kept_content(cell: Cell, folder: Path) -> dict[str, Any]:
    """What is kept of a finished cell: its results, their settings, errors by epoch and commits."""
    results = read_json(folder / "results.json")
    content: dict[str, Any] = {**results, "sha256": cell.sha256}
    if isinstance(cell, Training):
        run = RunFolder(folder)
        if run.manifest.exists():
            manifest = run.read_manifest()
            commits = [process.git_commit for process in (manifest, *manifest.resumed)]
            content["trained_at_commits"] = [*dict.fromkeys(filter(None, commits))]
        content["errors_by_epoch"] = [line.test_errors for line in read_metrics(run.metrics)]
    if not isinstance(cell, Scoring) or not cell.real:
        content["settings"] = _settings(cell)
    return content


def _settings(cell: Cell) -> Mapping[str, Any]:
    """All settings but where things are kept on the machine."""
    settings = recipe_to_dict(cell.recipe)
    for name in ("path", "cache"):
        settings["data"].pop(name)
    return settings


def write_outcome(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes the results.json of an ensemble or a score, the mark that it is done."""
    make_folder(folder)
    write_json(folder / "results.json", content)


def _require_of(place: Path, outcome: Outcome, cell: Cell) -> None:
    recipe = cell.recipe
    wanted = {"recipe": recipe.name, "seed": recipe.seed, "sha256": cell.sha256}
    if not isinstance(cell, Scoring) and recipe.labels is not None:
        wanted["labels"] = recipe.labels
    if isinstance(cell, Ensemble):
        wanted["seed"] = cell.draw
    for name, value in wanted.items():
        got = getattr(outcome, name)
        if got != value and not (name == "sha256" and got is None):
            raise UserError(
                f"{place}: expected the results of {cell.title} ({name} {value}), got {got}"
            )
