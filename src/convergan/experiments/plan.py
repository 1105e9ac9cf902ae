"""Planning: the cells of a table, given the options of a call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convergan.errors import UserError
from convergan.experiments.cells import Cell, Ensemble, Scoring, Training, with_draw, with_needs
from convergan.experiments.store import Store
from convergan.experiments.tables import SCORED_IMAGES, Table
from convergan.recipes.files import read_recipe
from convergan.recipes.presets import PRESETS, as_recipe
from convergan.recipes.settings import Recipe
from convergan.scoring.settings import ScoreSettings

REAL = "real data"
"""Row of the scores of real images."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One number of a table: its cells are draws of labels, or seeds, of one recipe."""

    row: str
    """Name of the recipe, or of the variant in the paper."""

    column: str
    """Number of labels; in a table without labels, its only column."""

    models: int
    """Number of models in an ensemble; 1: single models."""

    cells: tuple[Cell, ...]
    """Cells in the order of their draws."""

    @property
    def title(self) -> str:
        """Title of the entry in messages."""
        labels = f", {self.column} labels" if self.column.isdigit() else ""
        models = f", ensemble of {self.models}" if self.models > 1 else ""
        return f"{self.row}{labels}{models}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A table and its entries."""

    table: Table
    entries: tuple[Entry, ...]

    def targets(self) -> Iterator[tuple[Entry, Cell]]:
        """The cells of all entries by draw, so that early ones fill all rows alike; single models before
        ensembles.
        """
        rank = {
            id(cell): (entry.models > 1, place, number)
            for number, entry in enumerate(self.entries)
            for place, cell in enumerate(entry.cells)
        }
        pairs = [(entry, cell) for entry in self.entries for cell in entry.cells]
        yield from sorted(pairs, key=lambda pair: rank[id(pair[1])])

    def cells(self) -> list[Cell]:
        """All cells and those that they need, each once, in the order in which they are run."""
        return with_needs([cell for _, cell in self.targets()])

    def missing(self, store: Store) -> "Missing":
        """The cells that are still to be computed, without damaged ones, which are in `store.problems`."""
        targets = [
            cell
            for _, cell in self.targets()
            if store.outcome(cell) is None and cell.name not in store.problems
        ]
        own = {cell.name for cell in targets}
        cells = [
            cell for cell in with_needs(targets) if cell.name in own or not store.is_usable(cell)
        ]
        return Missing(targets=frozenset(own), cells={cell.name: cell for cell in cells})


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Cells that a table still lacks."""

    targets: frozenset[str]
    """Names of the cells whose numbers it lacks."""

    cells: Mapping[str, Cell]
    """The targets and the missing cells that they need, by name, in the order in which they are run."""


def plan_of(
    table: Table,
    *,
    recipes: Sequence[str] = (),
    labels: Sequence[int] = (),
    draws: int | None = None,
    members: int | None = None,
    data: Path | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    samples: int = SCORED_IMAGES,
) -> Plan:
    """The cells of a table.

    Args:
        table: the table.
        recipes: presets, or recipe.yaml files, instead of the table's own.
        labels: numbers of labels instead of the table's.
        draws: number of draws of labels, or of seeds, instead of the table's.
        members: number of models in an ensemble instead of the table's; 1: no ensembles.
        data: folder of the images, or of one folder for each source, as it must be where recipes use several
            sources.
        cache: folder for decoded images.
        threads: number of threads of each training.
        samples: number of images for an Inception score.

    Raises:
        UserError: a recipe is unknown or cannot be read, or the table has no labels, or no ensembles.
    """
    if labels and not table.labels:
        raise UserError(f"labels: expected none for {table.name}, got {labels[0]}")
    if members not in (None, 1) and table.members == 1:
        raise UserError(f"members: expected 1 for {table.name}, got {members}")
    for name, values in (("labels", list(labels)), ("recipes", list(recipes))):
        if len(set(values)) < len(values):
            raise UserError(f"{name}: expected each once, got one twice")
    selected = [_recipe(name) for name in (recipes or table.recipes)]
    several = len({recipe.data.source for recipe in selected}) > 1
    selected = [_placed(recipe, data, cache, threads, several=several) for recipe in selected]
    names = [recipe.name for recipe in selected]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"recipes: expected names that differ, got {name} twice")
    draws, members = draws or table.draws, members or table.members
    if not table.labels:
        return Plan(table=table, entries=tuple(_without_labels(table, selected, draws, samples)))
    entries = []
    for recipe in selected:
        for models in (1, members) if members > 1 else (1,):
            for count in labels or table.labels:
                cells = [_cell(recipe, count, draw, models) for draw in range(draws)]
                entries.append(
                    Entry(row=recipe.name, column=str(count), models=models, cells=tuple(cells))
                )
    return Plan(table=table, entries=tuple(entries))


def _cell(recipe: Recipe, labels: int, draw: int, models: int) -> Training | Ensemble:
    members = tuple(
        with_draw(recipe, labels=labels, draw=draw, member=member) for member in range(models)
    )
    return members[0] if models == 1 else Ensemble(members=members)


def _without_labels(
    table: Table, recipes: Sequence[Recipe], draws: int, samples: int
) -> Iterator[Entry]:
    """The entries of a table with a row for each recipe."""
    scores = table.unit == "Inception score"
    settings = ScoreSettings(metrics=("is",), count=samples)
    if scores:
        real = Scoring(recipe=recipes[0], settings=settings, real=True)
        yield Entry(row=REAL, column=table.unit, models=1, cells=(real,))
    for recipe in recipes:
        trainings = [with_draw(recipe, labels=None, draw=draw) for draw in range(draws)]
        cells: list[Cell] = [
            Scoring(recipe=training.recipe, settings=settings) if scores else training
            for training in trainings
        ]
        row = table.variants.get(recipe.name, recipe.name)
        yield Entry(row=row, column=table.unit, models=1, cells=tuple(cells))


def _recipe(name: str) -> Recipe:
    """The preset of a name, or the recipe in a file."""
    if name in PRESETS:
        return PRESETS[name]
    if name.endswith((".yaml", ".yml")):
        return read_recipe(Path(name))
    return as_recipe(name)


def _placed(
    recipe: Recipe,
    data: Path | None,
    cache: Path | None,
    threads: int | None,
    *,
    several: bool,
) -> Recipe:
    """The recipe with the folders and the threads of this machine.

    With several sources, none uses the common folder as its own, which may hold another's images.
    """
    settings = recipe.data
    if data is not None and not (several and settings.source == "digits"):
        own = data / settings.source
        settings = replace(settings, path=(own if several or own.is_dir() else data).resolve())
    elif settings.path is not None:
        settings = replace(settings, path=settings.path.resolve())
    if cache is not None:
        settings = replace(settings, cache=cache.resolve())
    hardware = recipe.hardware
    if hardware.devices != 1:
        raise UserError(
            f"hardware.devices: expected 1 in {recipe.name}, as each cell has a worker of its own, got"
            f" {hardware.devices}"
        )
    if threads is not None:
        hardware = replace(hardware, threads=threads)
    return replace(recipe, data=settings, hardware=hardware)
