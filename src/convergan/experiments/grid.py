"""A table for people: rows of published numbers, and of ours, in the same columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from convergan.experiments.plan import Plan
from convergan.experiments.published import Number, Published
from convergan.experiments.summary import Summary
from convergan.experiments.tables import Unit
from convergan.recipes.presets import SUMMARIES

EMPTY = "-"
"""What stands where nothing was measured, or published."""

_UNITS = {
    "errors": "wrong test images",
    "%": "wrong test images, %",
    "Inception score": "Inception score, higher is better",
    "samples": "samples",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table."""

    name: str
    cells: tuple[str, ...]
    ours: bool = False
    """True for what was measured here."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table."""

    title: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Sources of the published rows, what recipes are that are not the table's own, and errors of cells that
    failed."""


def grid_of(plan: Plan, summaries: Sequence[Summary]) -> Grid:
    """The table, ours below the paper's and the best published since, with holes where nothing is known."""
    table = plan.table
    notes = [f"{each.name}: {each.source}" for each in _shown(plan)]
    recipes = dict.fromkeys(entry.cells[0].recipe.name for entry in plan.entries)
    notes += [
        f"{name}: {SUMMARIES[name]}"
        for name in recipes
        if name in SUMMARIES and name not in table.recipes
    ]
    notes += [
        f"{summary.entry.title}, draw {draw} failed: {error}"
        for summary in summaries
        for draw, error in summary.failed.items()
    ]
    by_labels = bool(table.labels)
    return Grid(
        title=table.title,
        unit=_UNITS[table.unit],
        columns=_columns(plan) if by_labels else _columns_by_variant(plan),
        rows=tuple(_rows(plan, summaries) if by_labels else _variants(plan, summaries)),
        notes=tuple(notes),
    )


def written(number: Number | None, unit: Unit) -> str:
    """A mean with its deviation: "1677 ± 452", "102.6 ± 5.3", "18.63 ± 2.32"."""
    if number is None:
        return EMPTY
    if unit == "errors":
        mean, stdev = _errors(number.mean), number.stdev
        return mean if stdev is None else f"{mean} ± {_errors(stdev)}"
    return f"{number.mean:.2f}" + ("" if number.stdev is None else f" ± {number.stdev:.2f}")


def _errors(value: float) -> str:
    return f"{value:.0f}" if value >= 200 else f"{value:.1f}".removesuffix(".0")


def _labels(plan: Plan) -> list[str]:
    return list(dict.fromkeys(entry.column for entry in plan.entries))


def _shown(plan: Plan) -> list[Published]:
    """The published rows that have a number in one of the columns."""
    names = _labels(plan) if plan.table.labels else [entry.row for entry in plan.entries]
    return [each for each in plan.table.published if any(name in each.numbers for name in names)]


def _columns(plan: Plan) -> tuple[str, ...]:
    return tuple(f"{int(labels):,} labels" for labels in _labels(plan))


def _rows(plan: Plan, summaries: Sequence[Summary]) -> list[Row]:
    labels, unit = _labels(plan), plan.table.unit
    rows = [
        Row(
            name=each.name,
            cells=tuple(written(each.numbers.get(name), unit) for name in labels),
        )
        for each in _shown(plan)
    ]
    for recipe, models in dict.fromkeys((s.entry.row, s.entry.models) for s in summaries):
        of_labels = {
            each.entry.column: each
            for each in summaries
            if (each.entry.row, each.entry.models) == (recipe, models)
        }
        own = [of_labels[name] for name in labels]
        name = recipe if models == 1 else f"{recipe}, ensemble of {models}"
        rows.append(Row(name=name, cells=tuple(written(s.number, unit) for s in own), ours=True))
        if any(len(summary.values) > 1 for summary in own):
            medians = tuple(
                written(None if s.median is None else Number(s.median), unit) for s in own
            )
            rows.append(Row(name="  median", cells=medians, ours=True))
        draws = tuple(summary.draws_in_words for summary in own)
        rows.append(Row(name="  draws of labels", cells=draws, ours=True))
    return rows


def _columns_by_variant(plan: Plan) -> tuple[str, ...]:
    published = tuple(each.name for each in _shown(plan))
    return (*published, "ours", "seeds")


def _variants(plan: Plan, summaries: Sequence[Summary]) -> list[Row]:
    unit = plan.table.unit
    return [
        Row(
            name=summary.entry.row,
            cells=(
                *(written(each.numbers.get(summary.entry.row), unit) for each in _shown(plan)),
                written(summary.number, unit) if unit != "samples" else _done(summary),
                summary.draws_in_words,
            ),
            ours=True,
        )
        for summary in summaries
    ]


def _done(summary: Summary) -> str:
    return "drawn" if summary.outcomes else EMPTY
