"""Which images a table is of: known again by their fingerprint, whatever folder they are in."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from rich.console import Console

from convergan.data.source import open_data_set
from convergan.errors import UserError, first_of
from convergan.experiments.cells import Cell
from convergan.experiments.store import Outcome, Store
from convergan.experiments.summary import Summary
from convergan.progress_bar import progress_bar
from convergan.recipes.settings import DataSettings, Recipe


def images_of(recipe: Recipe) -> DataSettings:
    """The settings that decide which images a recipe is trained on, all others at their defaults."""
    settings = recipe.data
    return DataSettings(
        source=settings.source,
        path=settings.path,
        cache=settings.cache,
        size_px=settings.size_px,
        channels=settings.channels,
        skip_unreadable=settings.skip_unreadable,
    )


def fingerprints_of(cells: Iterable[Cell], console: Console) -> dict[DataSettings, str]:
    """Fingerprints of the images that cells are of, as far as they are in folders that were named.

    They are decoded into the cache on the way, before several workers would do so at once. Those that cannot
    be read are left out: the cells that need them say why.
    """
    found = {}
    for settings in dict.fromkeys(images_of(cell.recipe) for cell in cells):
        if settings.path is None:
            continue
        with suppress(UserError), progress_bar("reading the images", console=console) as progress:
            found[settings] = open_data_set(settings, progress=progress).fingerprint
    return found


def are_others(images: Mapping[DataSettings, str], cell: Cell, outcome: Outcome) -> bool:
    """True if what a cell came to is of other images than those that it would be trained on now."""
    now = images.get(images_of(cell.recipe))
    return None not in (now, outcome.data_fingerprint) and now != outcome.data_fingerprint


def require_same_images(
    images: Mapping[DataSettings, str], cells: Iterable[Cell], store: Store
) -> None:
    """Checks that what is done is of the images that the rest would be trained on.

    Raises:
        UserError: a cell is of others.
    """
    for cell in cells:
        outcome = store.found(cell)
        if outcome is not None and are_others(images, cell, outcome):
            then, now = outcome.data_fingerprint or "", images[images_of(cell.recipe)]
            raise UserError(
                f"data.path: expected the images that {cell.title} was trained on (fingerprint"
                f" {then[:12]}), got others in {cell.recipe.data.path} ({now[:12]}); another --out, and"
                " --results, begins a table of these"
            )


def notes_of_mixed_images(summaries: Iterable[Summary]) -> list[str]:
    """A line for each source of which cells of a table saw different images, and for scores by different
    networks."""
    images: dict[str, dict[str, list[str]]] = {}
    networks: dict[str, list[str]] = {}
    for summary in summaries:
        for draw, outcome in summary.outcomes.items():
            title = f"{summary.entry.title}, draw {draw}"
            source = summary.entry.cells[0].recipe.data.source
            if outcome.data_fingerprint is not None:
                of_source = images.setdefault(source, {})
                of_source.setdefault(outcome.data_fingerprint[:12], []).append(title)
            if outcome.network is not None:
                networks.setdefault(outcome.network, []).append(title)
    notes = [
        f"different images of {source}: {_listed(by_fingerprint)}"
        for source, by_fingerprint in images.items()
        if len(by_fingerprint) > 1
    ]
    return notes + ([f"different networks: {_listed(networks)}"] if len(networks) > 1 else [])


def _listed(titles: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name}: {first_of(of_name)}" for name, of_name in titles.items())
