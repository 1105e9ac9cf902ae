"""A table for people: rows of published and of measured numbers in the same columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convergan.experiments.counterparts import has_counterpart, recipe_note
from convergan.experiments.images import notes_of_mixed_images
from convergan.experiments.plan import Plan
from convergan.experiments.published import Number, Published
from convergan.experiments.summary import Summary
from convergan.experiments.tables import Table, Unit

EMPTY = "-"
"""Text of a cell in which nothing was measured, or published."""

_UNITS = {
    "errors": "misclassified test images",
    "%": "misclassified test images, %",
    "Inception score": "Inception score, higher is better",
    "samples": "samples",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table."""

    name: str
    cells: tuple[str, ...]
    is_measured: bool = False
    """True for numbers that were measured here."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table."""

    title: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Sources of the published rows, departures of recipes from the paper's, remarks on numbers, and errors
    of cells that failed."""


def grids_of(plan: Plan, summaries: Sequence[Summary]) -> list[Grid]:
    """The table, with measured numbers below the paper's and the best published since, and a block for each
    recipe without a counterpart in the paper. Cells without a number are `EMPTY`.
    """
    table = plan.table
    separate = [s for s in summaries if not has_counterpart(table, s.entry.cells[0].recipe)]
    comparable = [summary for summary in summaries if summary not in separate]
    grids = []
    if comparable:
        grids.append(_grid(table, table.title, comparable, _published_rows(table, comparable)))
    for name in dict.fromkeys(summary.recipe for summary in separate):
        own = [summary for summary in separate if summary.recipe == name]
        grids.append(_grid(table, f"{name}, which is not the paper's setting", own, []))
    return grids


def _grid(
    table: Table, title: str, summaries: Sequence[Summary], published: Sequence[Published]
) -> Grid:
    by_labels = bool(table.labels)
    return Grid(
        title=title,
        unit=_UNITS[table.unit],
        columns=_columns(summaries)
        if by_labels
        else (*(p.name for p in published), "ours", "seeds"),
        rows=tuple((_rows if by_labels else _variants)(table, summaries, published)),
        notes=tuple(_notes(table, summaries, published)),
    )


def _notes(
    table: Table, summaries: Sequence[Summary], published: Sequence[Published]
) -> Iterator[str]:
    for row in published:
        yield f"{row.name}: {row.source}"
    by_recipe = {summary.recipe: summary.entry.cells[0] for summary in reversed(summaries)}
    for name in dict.fromkeys(summary.recipe for summary in summaries):
        note = recipe_note(table, by_recipe[name])
        if note is not None:
            yield note
    for summary in summaries:
        yield from _notes_of_number(table, summary)
    if table.unit == "Inception score" and any(summary.values for summary in summaries):
        yield "ours: ± of one seed is over parts of its images, as in the paper; of several, over the seeds"
    yield from notes_of_mixed_images(summaries)
    for summary in summaries:
        for draw, error in summary.failed.items():
            yield f"{summary.entry.title}, draw {draw} failed: {error}"


def _notes_of_number(table: Table, summary: Summary) -> Iterator[str]:
    """Notes on what a mean and its deviation do not tell."""
    entry = summary.entry
    choosing = [
        draw
        for draw in table.chosen_by.get((summary.recipe, entry.column), ())
        if draw in summary.values
    ]
    if choosing:
        remaining = summary.number_without(choosing)
        draws = " and ".join(map(str, choosing))
        difference = (
            "" if remaining is None else f"; without: {number_text(remaining, summary.unit)}"
        )
        yield (
            f"{entry.title}: settings were chosen by the test errors of {'draws' if choosing[1:] else 'draw'}"
            f" {draws}{difference}"
        )
    if entry.models > 1 and len(summary.values) > 1:
        yield f"{entry.title}: ensembles of neighbouring draws share seeds, but not labels"


def number_text(number: Number | None, unit: Unit) -> str:
    """A mean with its deviation: "1677 ± 452", "102.6 ± 5.3", "18.63 ± 2.32"."""
    if number is None:
        return EMPTY
    if unit == "errors":
        mean, stdev = _errors(number.mean), number.stdev
        return mean if stdev is None else f"{mean} ± {_errors(stdev)}"
    return f"{number.mean:.2f}" + ("" if number.stdev is None else f" ± {number.stdev:.2f}")


def _errors(value: float) -> str:
    return f"{value:.0f}" if value >= 200 else f"{value:.1f}".removesuffix(".0")


def _labels(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(summary.entry.column for summary in summaries))


def _published_rows(table: Table, summaries: Sequence[Summary]) -> list[Published]:
    """The published rows that have a number in one of the columns."""
    names = _labels(summaries) if table.labels else [summary.entry.row for summary in summaries]
    return [row for row in table.published if any(name in row.numbers for name in names)]


def _columns(summaries: Sequence[Summary]) -> tuple[str, ...]:
    return tuple(f"{int(labels):,} labels" for labels in _labels(summaries))


def _rows(
    table: Table, summaries: Sequence[Summary], published: Sequence[Published]
) -> Iterator[Row]:
    labels, unit = _labels(summaries), table.unit
    for row in published:
        numbers = tuple(number_text(row.numbers.get(name), unit) for name in labels)
        yield Row(name=row.name, cells=numbers)
    for recipe, models in dict.fromkeys((s.entry.row, s.entry.models) for s in summaries):
        by_labels = {
            summary.entry.column: summary
            for summary in summaries
            if (summary.entry.row, summary.entry.models) == (recipe, models)
        }
        own = [by_labels.get(name) for name in labels]
        numbers = tuple(EMPTY if s is None else number_text(s.number, unit) for s in own)
        name = recipe if models == 1 else f"{recipe}, ensemble of {models}"
        yield Row(name=name, cells=numbers, is_measured=True)
        if any(len(summary.values) > 1 for summary in by_labels.values()):
            medians = tuple(
                EMPTY if s is None or s.median is None else number_text(Number(s.median), unit)
                for s in own
            )
            yield Row(name="  median", cells=medians, is_measured=True)
        draws = tuple(EMPTY if s is None else s.draws_in_words for s in own)
        yield Row(name="  draws of labels", cells=draws, is_measured=True)
        if any(summary.test_sizes - {table.test_size} for summary in by_labels.values()):
            sizes = tuple(EMPTY if s is None else _sizes(s) for s in own)
            yield Row(name="  test images", cells=sizes, is_measured=True)


def _sizes(summary: Summary) -> str:
    sizes = " or ".join(f"{size:,}" for size in sorted(summary.test_sizes))
    return f"of {sizes}" if sizes else EMPTY


def _variants(
    table: Table, summaries: Sequence[Summary], published: Sequence[Published]
) -> Iterator[Row]:
    unit = table.unit
    for summary in summaries:
        row = summary.entry.row
        numbers = [number_text(source.numbers.get(row), unit) for source in published]
        own = _done(summary) if unit == "samples" else number_text(summary.number, unit)
        cells = (*numbers, own, summary.draws_in_words)
        yield Row(name=row, cells=cells, is_measured=bool(summary.outcomes))


def _done(summary: Summary) -> str:
    if summary.samples:
        return "drawn"
    return "trained; its samples are missing" if summary.outcomes else EMPTY
