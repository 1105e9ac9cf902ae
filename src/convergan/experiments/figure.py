"""A table as a figure: means with error bars, ours beside what was published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convergan.experiments.plan import Plan
from convergan.experiments.published import Number
from convergan.experiments.summary import Summary
from convergan.page.figure_file import write_figure

_SIDE = 0.06
"""Distance between series in the same column, as a share of that between columns."""

_Y_LABELS = {
    "errors": "wrong test images",
    "%": "wrong test images, %",
    "Inception score": "Inception score",
}


def write_error_bars(path: Path, plan: Plan, summaries: Sequence[Summary]) -> None:
    """Draws the means of a table with their deviations as SVG; our single draws as dots.

    Recipes that the paper has no counterpart of are not among them.
    """
    summaries = [each for each in summaries if each.recipe not in plan.table.apart]
    columns = _columns(plan)
    series: list[tuple[str, dict[str, Number], bool]] = [
        (each.name, {n: v for n, v in each.numbers.items() if n in columns}, False)
        for each in plan.table.published
    ]
    dots: list[dict[str, list[float]]] = [{} for _ in series]
    for row, models in dict.fromkeys(_row_of(plan, each) for each in summaries):
        own = [each for each in summaries if _row_of(plan, each) == (row, models)]
        name = row if models == 1 else f"{row}, ensemble of {models}"
        numbers = {_column(plan, each): each.number for each in own}
        series.append((name, {n: v for n, v in numbers.items() if v is not None}, True))
        dots.append({_column(plan, each): list(each.values.values()) for each in own})

    def draw(axes: Any) -> None:
        shown = [place for place, (_, numbers, _) in enumerate(series) if numbers]
        for number, place in enumerate(shown):
            name, numbers, ours = series[place]
            side = (number - (len(shown) - 1) / 2) * _SIDE
            x = [columns.index(column) + side for column in numbers]
            bars = axes.errorbar(
                x,
                [each.mean for each in numbers.values()],
                yerr=[
                    [_below(each, plan) for each in numbers.values()],
                    [each.stdev or 0.0 for each in numbers.values()],
                ],
                fmt="o" if ours else "s",
                markersize=5 if ours else 4,
                markerfacecolor=None if ours else "white",
                capsize=3,
                linewidth=1.5,
                label=name,
            )
            for column, values in dots[place].items():
                at = [columns.index(column) + side + 0.4 * _SIDE] * len(values)
                axes.plot(at, values, ".", color=bars[0].get_color(), alpha=0.5, markersize=4)
        axes.set_xticks(range(len(columns)), columns, rotation=0 if plan.table.labels else 20)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylabel(_Y_LABELS[plan.table.unit])
        axes.set_title(plan.table.title, fontsize=11, loc="left")
        if plan.table.labels:
            axes.set_xlabel("labels")
        if plan.table.unit == "errors":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)

    write_figure(path, draw, width=7.2, height=4.2)


def _below(number: Number, plan: Plan) -> float:
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
