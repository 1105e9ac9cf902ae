"""The forms of a table: terminal, Markdown, CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table as RichTable

from convergan.errors import printable
from convergan.experiments.grid import Grid
from convergan.experiments.plan import Plan
from convergan.experiments.store import CellOutcome
from convergan.experiments.summary import Summary
from convergan.outputs import spreadsheet_text
from convergan.page.words import approximate_duration
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.runs.provenance import DIRTY, short_commit

CSV_COLUMNS = (
    "table", "row", "source", "labels", "models", "unit", "mean", "stdev", "median", "least", "most",
    "draws", "planned", "failed", "values", "train_seconds", "devices", "precisions",
)  # fmt: skip
"""Columns of the CSV; `values` are `draw:value`, separated by blanks."""


def print_grid(grid: Grid, console: Console) -> None:
    """Print a table that fits in 80 columns."""
    table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(grid.unit, overflow="fold")
    for column in grid.columns:
        table.add_column(column, justify="right", overflow="fold")
    for row in grid.rows:
        table.add_row(
            printable(row.name),
            *map(printable, row.cells),
            style="bold" if row.is_measured else None,
        )
    console.print(f"\n{grid.title}", markup=False, highlight=False)
    console.print(table, highlight=False)
    for note in grid.notes:
        console.print(printable(note), markup=False, highlight=False, style="dim")


def markdown_of(grid: Grid) -> str:
    """The table in Markdown: measured rows in bold, notes as a list."""
    lines = [
        f"## {grid.title}",
        "",
        _row([grid.unit, *grid.columns]),
        _row(["---", *("---:" for _ in grid.columns)]),
    ]
    for row in grid.rows:
        name = _escaped(row.name.strip())
        # A row that explains a measured one stands below it.
        own = row.is_measured and not row.name.startswith(" ")
        cells = [f"**{_escaped(cell)}**" if own else _escaped(cell) for cell in row.cells]
        lines.append(_row([f"**{name}**" if own else name, *cells]))
    lines += ["", *(f"* {_escaped(note)}" for note in grid.notes)]
    return "\n".join(lines).rstrip() + "\n"


def provenance_of(summaries: Sequence[Summary]) -> str:
    """Device, duration and code of the measurements as Markdown: a row for each number of the table."""
    lines = [
        _row(["number", "draws", "epochs", "device", "precision", "training", "commits"]),
        _row(["---"] * 7),
    ]
    notes = []
    is_dirty = False
    for summary in summaries:
        outcomes = list(summary.outcomes.values())
        if not outcomes:
            continue
        commits = {
            short_commit(commit) for outcome in outcomes for commit in outcome.trained_at_commits
        }
        is_dirty |= any(commit.endswith(DIRTY) for commit in commits)
        lines.append(
            _row(
                [
                    summary.entry.title,
                    ", ".join(map(str, summary.outcomes)),
                    _joined(str(outcome.epochs) for outcome in outcomes if outcome.epochs),
                    _joined(outcome.device for outcome in outcomes if outcome.device),
                    _joined(_precisions(outcomes)),
                    _duration(outcomes),
                    " ".join(sorted(commits)),
                ]
            )
        )
        adopted = [f"`{outcome.adopted_from}`" for outcome in outcomes if outcome.adopted_from]
        if adopted:
            places = _joined(map(_escaped, adopted))
            notes.append(f"* {summary.entry.title}: adopted from {places}")
    if is_dirty:
        notes.append(
            f"* `{DIRTY}`: files of the code had been changed, and not committed, when a run began or was"
            " resumed"
        )
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _precisions(outcomes: Iterable[CellOutcome]) -> list[str]:
    return [
        FORMER_PRECISIONS.get(outcome.precision, outcome.precision)
        for outcome in outcomes
        if outcome.precision
    ]


def _duration(outcomes: Sequence[CellOutcome]) -> str:
    seconds = sum(outcome.train_seconds or 0.0 for outcome in outcomes)
    if not seconds:
        return ""
    has_baselines = any(outcome.baseline_test_errors is not None for outcome in outcomes)
    return approximate_duration(seconds) + (", with baselines" if has_baselines else "")


def _joined(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))


def csv_of(plan: Plan, summaries: Sequence[Summary]) -> str:
    """The table as CSV: a line for each number, measured or published."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    table = plan.table
    for published in table.published:
        for column, number in published.numbers.items():
            labels = column if table.labels else ""
            writer.writerow(
                {
                    "table": table.name,
                    "row": spreadsheet_text(
                        published.name if labels else f"{published.name}: {column}"
                    ),
                    "source": published.source,
                    "labels": labels,
                    "unit": table.unit,
                    "mean": number.mean,
                    "stdev": "" if number.stdev is None else number.stdev,
                }
            )
    for summary in summaries:
        writer.writerow(_line(plan, summary))
    return text.getvalue()


def _line(plan: Plan, summary: Summary) -> dict[str, object]:
    entry, number, values = summary.entry, summary.number, summary.values
    outcomes = list(summary.outcomes.values())
    return {
        "table": plan.table.name,
        "row": spreadsheet_text(entry.row),
        "source": "measured",
        "labels": entry.column if plan.table.labels else "",
        "models": entry.models,
        "unit": plan.table.unit,
        "mean": "" if number is None else number.mean,
        "stdev": "" if number is None or number.stdev is None else number.stdev,
        "median": "" if summary.median is None else summary.median,
        "least": min(values.values(), default=""),
        "most": max(values.values(), default=""),
        "draws": len(values),
        "planned": summary.planned,
        "failed": len(summary.failed),
        "values": " ".join(f"{draw}:{value:g}" for draw, value in values.items()),
        "train_seconds": round(summary.train_seconds, 1),
        "devices": _joined(outcome.device for outcome in outcomes if outcome.device),
        "precisions": _joined(_precisions(outcomes)),
    }


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return printable(text).replace("|", r"\|")
