"""Where things are in a run folder, and the rules by which one is begun and resumed."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from convergan.errors import UserError, one_line, printable
from convergan.files import remove_leftovers, write_text
from convergan.recipes.files import first_difference, read_recipe, recipe_to_yaml
from convergan.recipes.settings import Recipe

# They decide where things are kept, and by how many threads they are computed, which changes last digits
# alone; whether the images are the same is checked by their fingerprint.
_FREE_TO_CHANGE = ("data.cache", "data.path", "data.resident_mb", "hardware.threads")


class RunFolder:
    """A folder that holds what one recipe produced; docs/run-folder.md describes its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.manifest = path / "manifest.json"
        self.metrics = path / "metrics.jsonl"
        self.results = path / "results.json"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.samples = path / "samples"
        self.folds = path / "folds"
        self.report = path / "report.html"

    def begin(self, recipe: Recipe, *, resume: bool) -> None:
        """Makes the folder, or checks that it is one of this recipe's that may be resumed.

        Raises:
            UserError: the folder holds a run and `resume` is off, holds something else, or holds a run
                of another recipe; the error names the first setting that differs.
        """
        self.require_place(resume=resume)
        if self.path.is_dir():
            remove_leftovers(self.path)
        if self.recipe.exists():
            difference = first_difference(read_recipe(self.recipe), recipe, _FREE_TO_CHANGE)
            if difference:
                name, saved, wanted = difference
                raise UserError(
                    f"{name}: expected {saved!r} as in {self.recipe}, got {wanted!r}; a run is "
                    "resumed with the recipe that it was begun with"
                )
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.recipe, recipe_to_yaml(recipe))

    def require_place(self, *, resume: bool) -> None:
        """Checks that a run can be begun, or resumed, in this folder; it writes nothing that stays.

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
                raise UserError(
                    f"{self.path}: expected a new or empty folder, got a run; --resume continues it, "
                    "--out DIR writes elsewhere"
                )
            return
        if not self.path.is_dir() or any(self.path.iterdir()):
            raise UserError(
                f"{self.path}: expected a new or empty folder, got something else in it"
            )
        self._require_writable(self.path)

    def _require_creatable(self) -> None:
        try:
            str(self.path).encode()
        except UnicodeEncodeError as error:
            raise self._impossible(error) from None
        self._require_writable(next(each for each in self.path.absolute().parents if each.exists()))

    def _require_writable(self, folder: Path) -> None:
        try:
            # The only answer that holds for every file system.
            Path(tempfile.mkdtemp(prefix=".probe-", dir=folder)).rmdir()
        except OSError as error:
            raise self._impossible(error) from None

    def _impossible(self, error: Exception) -> UserError:
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        return UserError(
            f"out: expected a folder that can be made, got {printable(str(self.path))} ({reason})"
        )

    def read_results(self) -> dict[str, Any] | None:
        """results.json, or None for a run that is not finished."""
        if not self.results.exists():
            return None
        return read_json(self.results)


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, values: object) -> None:
    """Writes indented JSON, whole or not at all. NumPy's and torch's numbers must be converted."""
    write_text(path, json_text(values))


def json_text(values: object) -> str:
    """Indented JSON, with a line end."""
    return json.dumps(values, indent=2, allow_nan=False) + "\n"
