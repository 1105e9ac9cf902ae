"""Layout of a run folder, and the rules for starting and resuming a run."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from convergan.errors import UserError, is_utf8, printable, quoted, system_problem
from convergan.files import make_folder, try_writing, write_text
from convergan.images.regular_files import kind_of
from convergan.recipes.files import (
    FREE_TO_CHANGE,
    first_difference,
    read_recipe,
    recipe_sha256,
    recipe_to_yaml,
)
from convergan.recipes.settings import Recipe
from convergan.runs.manifest import Manifest, read_manifest
from convergan.runs.results import Results, read_results


class RunFolder:
    """A folder that holds what one recipe produced; docs/run-folder.md describes its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / ".lock"
        self.recipe = path / "recipe.yaml"
        self.manifest = path / "manifest.json"
        self.metrics = path / "metrics.jsonl"
        self.results = path / "results.json"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.samples = path / "samples"
        self.folds = path / "folds"
        self.arms = path / "arms"
        self.hold_out = path / "hold-out"
        self.members = path / "members"
        self.tensorboard = path / "tensorboard"
        self.report = path / "report.html"

    def fold(self, number: int) -> "RunFolder":
        """The folder of a fold's metrics, samples and checkpoints; folds count from 1."""
        return RunFolder(self.folds / str(number))

    def arm(self, name: str) -> "RunFolder":
        """The folder of an arm: its metrics, samples and checkpoints, unless it is saved, and those of its
        trainings that hold labels out.
        """
        return RunFolder(self.arms / name)

    def held_out(self, fold: int) -> "RunFolder":
        """The folder of an arm's training that holds labels out; folds count from 1, 0 is a single one."""
        return self.fold(fold) if fold else RunFolder(self.hold_out)

    def member(self, seed: int) -> "RunFolder":
        """The run folder of the member of an ensemble that was trained with this seed."""
        return RunFolder(self.members / str(seed))

    def parts(self) -> Iterator["RunFolder"]:
        """The folders of the run itself and of its existing folds, arms and members, recursively."""
        yield self
        if self.hold_out.is_dir():
            yield RunFolder(self.hold_out)
        for subfolder in (self.folds, self.arms, self.members):
            if subfolder.is_dir():
                for path in sorted(subfolder.iterdir()):
                    if path.is_dir():
                        yield from RunFolder(path).parts()

    def require_place(self, *, resume: bool) -> None:
        """Check that a run can be started, or resumed, in this folder; leave no file behind.

        Raises:
            UserError: the folder holds a run and `resume` is off, holds something else, or cannot be made.
        """
        try:
            os.lstat(self.path)
        except FileNotFoundError:
            self._require_creatable()
            return
        except (
            OSError,
            ValueError,
        ) as error:  # a name too long, a file in the place of a folder, NUL
            raise self._impossible(error) from None
        if self.recipe.exists():
            if not resume:
                state = "a run; --resume continues it,"
                if self.results.exists():
                    state = "a finished run;"
                raise UserError(
                    f"{self.path}: expected a new or empty folder, got {state} --out DIR writes elsewhere"
                )
            return
        if not self.path.is_dir():
            raise UserError(
                f"{self.path}: expected a new or empty folder, got {kind_of(self.path)}"
            )
        if any(self._content()):
            raise UserError(
                f"{self.path}: expected a new or empty folder, got one with other content"
            )
        self._require_writable(self.path)

    def _require_creatable(self) -> None:
        if not is_utf8(str(self.path)):
            raise self._impossible(ValueError("a name that is not UTF-8"))
        self._require_writable(
            next(parent for parent in self.path.absolute().parents if parent.exists())
        )

    def _require_writable(self, folder: Path) -> None:
        try:
            try_writing(folder)
        except OSError as error:
            raise self._impossible(error) from None

    def _impossible(self, error: Exception) -> UserError:
        return UserError(
            f"out: expected a folder that can be created, got {printable(str(self.path))}"
            f" ({system_problem(error)})"
        )

    def begin(self, recipe: Recipe, *, resume: bool) -> None:
        """Make the folder, or check that it is a run of this recipe that can be resumed.

        Raises:
            UserError: as in `require_place`; the folder holds a run of another recipe (the error names the
                first setting that differs), or its recipe.yaml has been changed since the run was begun.
        """
        self.require_place(resume=resume)
        if not self.recipe.exists():
            make_folder(self.path)
            write_text(self.recipe, recipe_to_yaml(recipe))
            return
        saved = read_recipe(self.recipe)
        difference = first_difference(saved, recipe, FREE_TO_CHANGE)
        self._require_unchanged(saved, recipe, difference)
        if difference:
            name, value, requested = difference
            raise UserError(
                f"{name}: expected {quoted(value)} as in {self.recipe}, got {quoted(requested)}; a run is "
                "resumed with the recipe that it was begun with"
            )

    def _require_unchanged(
        self, saved: Recipe, requested: Recipe, difference: tuple[str, Any, Any] | None
    ) -> None:
        """Check recipe.yaml against the hash in the manifest, which convergan 0.1.0 did not write."""
        begun_with = self.read_manifest().recipe_sha256 if self.manifest.exists() else None
        if begun_with in (None, recipe_sha256(saved)):
            return
        change = ""
        if difference and begun_with == recipe_sha256(requested):
            name, value, original = difference
            change = f" ({name} was {quoted(original)} and is {quoted(value)})"
        raise UserError(
            f"{self.recipe}: expected the recipe that this run was begun with, got one that was changed "
            f"since{change}; a run keeps its settings, --out DIR begins another run with these"
        )

    def _content(self) -> Iterator[Path]:
        """Yield the folder's content, without the lock and temporary files of this package."""
        prefixes = (".aside-", ".convergan-aside-")
        # A process that has just ended may take its empty folder with it.
        paths: list[Path] = []
        with suppress(FileNotFoundError):
            paths = list(self.path.iterdir())
        for path in paths:
            if path != self.lock and not path.name.startswith(prefixes):
                yield path

    def read_results(self) -> Results | None:
        """Content of results.json, or None for an unfinished run.

        Raises:
            UserError: the file is damaged.
        """
        if not self.results.exists():
            return None
        return read_results(self.results)

    def read_manifest(self) -> Manifest:
        """Content of manifest.json.

        Raises:
            UserError: the file is missing or damaged.
        """
        return read_manifest(self.manifest)
