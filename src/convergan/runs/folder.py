"""Where things are in a run folder, and the rules by which one is begun and resumed."""

import json
from pathlib import Path
from typing import Any

from convergan.errors import UserError
from convergan.files import remove_leftovers, write_text
from convergan.recipes.files import FREE_TO_CHANGE, first_difference, read_recipe, recipe_to_yaml
from convergan.recipes.settings import Recipe


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
        if self.path.is_dir():
            remove_leftovers(self.path)
        if self.recipe.exists():
            if not resume:
                raise UserError(
                    f"{self.path}: expected a new or empty folder, got a run; --resume continues it, "
                    "--out DIR writes elsewhere"
                )
            difference = first_difference(read_recipe(self.recipe), recipe, FREE_TO_CHANGE)
            if difference:
                name, saved, wanted = difference
                raise UserError(
                    f"{name}: expected {saved!r} as in {self.recipe}, got {wanted!r}; a run is "
                    "resumed with the recipe that it was begun with"
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(
                f"{self.path}: expected a new or empty folder, got something else in it"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.recipe, recipe_to_yaml(recipe))

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
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
