"""Cells of a table: trainings, ensembles and scores, named by the settings that decide their results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from convergan.json_files import json_line
from convergan.recipes.arms import has_arms
from convergan.recipes.members import model_sha256, split_seed
from convergan.recipes.settings import Recipe
from convergan.scoring.settings import ScoreSettings

_HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: a recipe with its labels, its draw of labelled images and its seed."""

    recipe: Recipe
    """All settings; the places of the images and the number of threads do not affect the result."""

    @property
    def draw(self) -> int:
        """The seed that draws the labelled images."""
        return split_seed(self.recipe)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the settings that decide the classifier and the generator: see `model_sha256`."""
        return model_sha256(self.recipe)

    @property
    def name(self) -> str:
        """Name of its folder."""
        recipe = self.recipe
        labels = "" if recipe.labels is None else f"-{recipe.labels}"
        draw = "" if self.draw == recipe.seed else f"-draw{self.draw}"
        return f"{recipe.name}{labels}{draw}-seed{recipe.seed}-{self.sha256[:_HASH_DIGITS]}"

    @property
    def title(self) -> str:
        """Title of the cell in progress and errors."""
        recipe = self.recipe
        labels = "" if recipe.labels is None else f" {recipe.labels:,} labels,"
        draw = "" if self.draw == recipe.seed else f" draw {self.draw},"
        return f"{recipe.name},{labels}{draw} seed {recipe.seed}"

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells that must be done first."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The averaged class probabilities of several trainings on one draw of labelled images."""

    members: tuple[Training, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe of the first member."""
        return self.members[0].recipe

    @property
    def draw(self) -> int:
        """The seed that draws the labelled images."""
        return self.members[0].draw

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the hashes of its members."""
        return _digest([member.sha256 for member in self.members])

    @property
    def name(self) -> str:
        """Name of its folder."""
        recipe = self.recipe
        labels = "" if recipe.labels is None else f"-{recipe.labels}"
        digits = self.sha256[:_HASH_DIGITS]
        return f"{recipe.name}{labels}-draw{self.draw}-of{len(self.members)}-{digits}"

    @property
    def title(self) -> str:
        """Title of the cell in progress and errors."""
        recipe = self.recipe
        labels = "" if recipe.labels is None else f" {recipe.labels:,} labels,"
        return f"{recipe.name},{labels} draw {self.draw}, ensemble of {len(self.members)}"

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells that must be done first."""
        return self.members


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The Inception score of a training's samples, or of the real images that a recipe names."""

    recipe: Recipe
    settings: ScoreSettings
    real: bool = False
    """Score the training images of `recipe` in place of samples."""

    @property
    def training(self) -> Training:
        """The training whose samples are scored."""
        return Training(recipe=self.recipe)

    @property
    def draw(self) -> int:
        """The seed of the training."""
        return self.training.draw

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the scored images and of all settings except those of the interval."""
        images = f"real {self.recipe.data.source}" if self.real else self.training.sha256
        # Of real images all are scored.
        free = {"intervals", "count"} if self.real else {"intervals"}
        settings = {
            name: value
            for name, value in sorted(vars(self.settings).items())
            if name not in free and value != getattr(ScoreSettings(), name)
        }
        return _digest([images, json_line(settings)])

    @property
    def name(self) -> str:
        """Name of its folder."""
        images = (
            f"{self.recipe.data.source.replace('/', '-')}-real" if self.real else self.recipe.name
        )
        seed = "" if self.real else f"-seed{self.recipe.seed}"
        return f"{images}{seed}-inception-{self.sha256[:_HASH_DIGITS]}"

    @property
    def title(self) -> str:
        """Title of the cell in progress and errors."""
        if self.real:
            return f"Inception score of the images of {self.recipe.data.source}"
        return f"Inception score of {self.training.title}"

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells that must be done first."""
        return () if self.real else (self.training,)


Cell = Training | Ensemble | Scoring


def with_draw(recipe: Recipe, *, labels: int | None, draw: int, member: int = 0) -> Training:
    """The training of one cell of a table.

    Args:
        recipe: the settings.
        labels: number of labelled images; None: that of the recipe.
        draw: the seed that draws the labelled images.
        member: number of the model, from 0; all members of an ensemble share the draw.
    """
    seed = draw + member
    data = replace(recipe.data, split_seed=draw)
    baseline = recipe.baseline if has_arms(recipe) else False
    return Training(
        recipe=replace(
            recipe,
            labels=recipe.labels if labels is None else labels,
            seed=seed,
            members=1,
            data=data,
            baseline=baseline,
        )
    )


def with_needs(cells: Sequence[Cell]) -> list[Cell]:
    """The cells and those that they need, each once, needed ones first."""
    cells_by_name: dict[str, Cell] = {}

    def add(cell: Cell) -> None:
        for need in cell.needs:
            add(need)
        cells_by_name.setdefault(cell.name, cell)

    for cell in cells:
        add(cell)
    return list(cells_by_name.values())


def _digest(parts: Sequence[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
