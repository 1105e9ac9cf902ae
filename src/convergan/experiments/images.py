"""Images of a table, recognized by their fingerprint whatever folder they are in."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from rich.console import Console

from convergan.data.source import open_data_set
from convergan.errors import UserError, first_of
from convergan.experiments.cells import Cell
from convergan.experiments.store import CellOutcome, Store
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
    """Fingerprints of the images of cells, as far as their folders were named.

    The images are decoded into the cache on the way, before several workers would do so at once. Images that
    cannot be read are left out: the cells that need them report the reason.
    """
    fingerprints = {}
    for settings in dict.fromkeys(images_of(cell.recipe) for cell in cells):
        if settings.path is None:
            continue
        with suppress(UserError), progress_bar("reading the images", console=console) as progress:
            fingerprints[settings] = open_data_set(settings, progress=progress).fingerprint
    return fingerprints


def are_others(images: Mapping[DataSettings, str], cell: Cell, outcome: CellOutcome) -> bool:
    """True if the outcome of a cell is from other images than those that it would be trained on now."""
    now = images.get(images_of(cell.recipe))
    return None not in (now, outcome.data_fingerprint) and now != outcome.data_fingerprint


def require_same_images(
    images: Mapping[DataSettings, str], cells: Iterable[Cell], store: Store
) -> None:
    """Check that the finished cells used the images that the others would be trained on.

    Raises:
        UserError: a cell used other images.
    """
    for cell in cells:
        outcome = store.outcome(cell)
        if outcome is not None and are_others(images, cell, outcome):
            begun, now = outcome.data_fingerprint or "", images[images_of(cell.recipe)]
            raise UserError(
                f"data.path: expected the images that {cell.title} was trained on (fingerprint"
                f" {begun[:12]}), got others in {cell.recipe.data.path} ({now[:12]}); another --out, and"
                " --results, begins a table of them"
            )


def notes_of_mixed_images(summaries: Iterable[Summary]) -> list[str]:
    """Lines on the sources of which cells of a table saw different images, and on scores by different
    networks.
    """
    images: dict[str, dict[str, list[str]]] = {}
    networks: dict[str, list[str]] = {}
    for summary in summaries:
        for draw, outcome in summary.outcomes.items():
            title = f"{summary.entry.title}, draw {draw}"
            source = summary.entry.cells[0].recipe.data.source
            if outcome.data_fingerprint is not None:
                by_fingerprint = images.setdefault(source, {})
                by_fingerprint.setdefault(outcome.data_fingerprint[:12], []).append(title)
            if outcome.network is not None:
                networks.setdefault(outcome.network, []).append(title)
    notes = [
        f"different images of {source}: {_titles_text(titles)}"
        for source, titles in images.items()
        if len(titles) > 1
    ]
    return notes + ([f"different networks: {_titles_text(networks)}"] if len(networks) > 1 else [])


def _titles_text(titles: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{key}: {first_of(names)}" for key, names in titles.items())
