"""A table as a figure: means with error bars, measured and published ones together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convergan.experiments.counterparts import has_counterpart
from convergan.experiments.plan import Plan
from convergan.experiments.published import Number
from convergan.experiments.summary import Summary
from convergan.page.figure_file import write_figure

_SIDE = 0.06
"""Distance between series in the same column, as a share of that between columns."""

_Y_LABELS = {
    "errors": "misclassified test images",
    "%": "misclassified test images, %",
    "Inception score": "Inception score",
}


def write_error_bars(path: Path, plan: Plan, summaries: Sequence[Summary]) -> None:
    """Draw the means of a table with their deviations as SVG; single measured draws as dots.

    Recipes without a counterpart in the paper are left out; if all are such, the published ones are.
    """
    comparable = [
        summary
        for summary in summaries
        if has_counterpart(plan.table, summary.entry.cells[0].recipe)
    ]
    title = plan.table.title if comparable else "Not the paper's setting"
    published = plan.table.published if comparable else ()
    summaries = comparable or summaries
    columns = _columns(plan)
    series: list[tuple[str, dict[str, Number], bool]] = [
        (row.name, {n: v for n, v in row.numbers.items() if n in columns}, False)
        for row in published
    ]
    dots: list[dict[str, list[float]]] = [{} for _ in series]
    for row, models in dict.fromkeys(_row_of(plan, summary) for summary in summaries):
        own = [summary for summary in summaries if _row_of(plan, summary) == (row, models)]
        name = row if models == 1 else f"{row}, ensemble of {models}"
        numbers = {_column(plan, summary): summary.number for summary in own}
        series.append((name, {n: v for n, v in numbers.items() if v is not None}, True))
        dots.append({_column(plan, summary): list(summary.values.values()) for summary in own})

    def draw(axes: Any) -> None:
        places = [place for place, (_, numbers, _) in enumerate(series) if numbers]
        for index, place in enumerate(places):
            name, numbers, is_measured = series[place]
            side = (index - (len(places) - 1) / 2) * _SIDE
            x = [columns.index(column) + side for column in numbers]
            bars = axes.errorbar(
                x,
                [number.mean for number in numbers.values()],
                yerr=[
                    [_length_below_mean(number, plan) for number in numbers.values()],
                    [number.stdev or 0.0 for number in numbers.values()],
                ],
                fmt="o" if is_measured else "s",
                markersize=5 if is_measured else 4,
                markerfacecolor=None if is_measured else "white",
                capsize=3,
                linewidth=1.5,
                label=name,
            )
            for column, values in dots[place].items():
                dots_x = [columns.index(column) + side + 0.4 * _SIDE] * len(values)
                axes.plot(dots_x, values, ".", color=bars[0].get_color(), alpha=0.5, markersize=4)
        axes.set_xticks(range(len(columns)), columns, rotation=0 if plan.table.labels else 20)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylabel(_Y_LABELS[plan.table.unit])
        axes.set_title(title, fontsize=11, loc="left")
        if plan.table.labels:
            axes.set_xlabel("labels")
        if plan.table.unit == "errors":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)

    write_figure(path, draw, width=7.2, height=4.2)


def _length_below_mean(number: Number, plan: Plan) -> float:
    """Length of a bar below its mean; on a logarithmic axis it stays above zero."""
    length = number.stdev or 0.0
    return min(length, 0.9 * number.mean) if plan.table.unit == "errors" else length


def _columns(plan: Plan) -> list[str]:
    names = (entry.column if plan.table.labels else entry.row for entry in plan.entries)
    return list(dict.fromkeys(names))


def _column(plan: Plan, summary: Summary) -> str:
    return summary.entry.column if plan.table.labels else summary.entry.row


def _row_of(plan: Plan, summary: Summary) -> tuple[str, int]:
    return (summary.entry.row, summary.entry.models) if plan.table.labels else ("ours", 1)
