"""Figures that only a study's report has: points with intervals in rows, and scatter plots."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from convergan.page.figures import TEXT, figure, ink, page_colour, percent_axis
from convergan.statistics.intervals import Interval

_NAME_LETTERS = 26
_ROW_HEIGHT, _TWO_LINES_HEIGHT = 27, 36
# Points also differ in shape: nothing is told by colour alone.
_SHAPES = (
    ("o", "M9 7a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    ("s", "M9.5 3.5h7v7h-7z"),
    ("^", "M13 2.5l4.7 8h-9.4z"),
    ("D", "M13 2l5 5l-5 5l-5-5z"),
    ("v", "M13 11.5l4.7-8h-9.4z"),
    ("P", "M11.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z"),
)


@dataclass(frozen=True)
class Points:
    """A cloud of points in a scatter plot."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int
    """Style in which the points are drawn: colour and shape, from 0; there are six."""

    @property
    def icon(self) -> Markup:
        """Icon for the legend."""
        colour = page_colour(self.style)
        return Markup(
            '<svg viewBox="0 0 26 14" aria-hidden="true">'
            '<path d="{}" style="fill: {}; stroke: none"/></svg>'
        ).format(_SHAPES[self.style % 6][1], colour)


@dataclass(frozen=True)
class Mark:
    """A point of a row with its intervals; the outer one is drawn thinner."""

    value: float
    inner: Interval | None
    outer: Interval | None
    style: int


@dataclass(frozen=True)
class Row:
    """A row of an interval chart."""

    name: str
    marks: Sequence[Mark]


def interval_chart(
    rows: Sequence[Row],
    *,
    name: str,
    x_label: str,
    reference: float | None = None,
    tick: Callable[[float, Any], str] = percent_axis,
) -> Markup:
    """Draw values with their intervals, row by row, the first on top; `tick` formats the axis."""
    names = [row_name(row.name) for row in rows]
    row_height = _TWO_LINES_HEIGHT if any("\n" in line for line in names) else _ROW_HEIGHT
    height = max(3, len(rows)) * row_height + 55

    def draw(axes: Axes) -> None:
        if reference is not None:
            axes.axvline(reference, color=TEXT, linewidth=1, linestyle=(0, (2, 3)))
        for place, row in enumerate(rows):
            for order, mark in enumerate(row.marks):
                y = place + 0.34 * (order - (len(row.marks) - 1) / 2)
                colour = ink(mark.style)
                for bounds, thickness in ((mark.outer, 1.1), (mark.inner, 2.6)):
                    if bounds is not None:
                        axes.plot(bounds, [y, y], color=colour, linewidth=thickness)
                shape = _SHAPES[mark.style % 6][0]
                axes.plot(mark.value, y, shape, color=colour, markersize=6)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), names)
        axes.yaxis.grid(False)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(tick))

    return figure(draw, name=name, height=height)


def scatter(
    clouds: Sequence[Points],
    *,
    name: str,
    x_label: str,
    y_label: str,
    errors: bool = False,
) -> Markup:
    """Draw clouds of points whose y is a share; with `errors` x is a share too, and the diagonal is drawn."""

    def draw(axes: Axes) -> None:
        if errors:
            highest = max(max([*cloud.x, *cloud.y], default=0) for cloud in clouds)
            top = 1.06 * max(highest, 0.05)
            axes.plot([0, top], [0, top], color=TEXT, linewidth=1, linestyle=(0, (2, 3)))
            axes.set_xlim(-0.03 * top, top)
            axes.set_ylim(-0.03 * top, top)
            axes.xaxis.set_major_formatter(FuncFormatter(percent_axis))
        for cloud in reversed(clouds):
            axes.plot(
                cloud.x,
                cloud.y,
                _SHAPES[cloud.style % 6][0],
                color=ink(cloud.style),
                markersize=5 if len(cloud.x) < 200 else 3.5,
                alpha=0.65,
                markeredgewidth=0,
            )
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(percent_axis))

    return figure(draw, name=name)


def ranked_intervals(
    values: Sequence[float], bounds: Sequence[Interval], *, name: str, x_label: str, y_label: str
) -> Markup:
    """Draw many shares in their order, each with its interval."""

    def draw(axes: Axes) -> None:
        places = range(1, len(values) + 1)
        width = max(0.4, min(2.2, 250 / len(values)))
        axes.vlines(places, *zip(*bounds, strict=True), color=ink(0), alpha=0.35, linewidth=width)
        axes.plot(places, values, color=ink(0), linewidth=1.8)
        axes.set_ylim(bottom=0)
        axes.xaxis.grid(False)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(percent_axis))

    return figure(draw, name=name)


def row_name(name: str) -> str:
    """Break a name into at most two lines that keep its start and its end, where names often differ."""
    lines = textwrap.wrap(name, _NAME_LETTERS)
    if len(lines) > 2:
        lines = [name[: _NAME_LETTERS - 1] + "…", name[1 - _NAME_LETTERS :]]
    return "\n".join(lines)
