"""Figures as inline SVG with the colours and the font of the page."""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Stand-ins that become CSS variables, so that one figure serves light and dark.
_COLOURS = {f"#0000{number:02x}": f"var(--line-{number})" for number in range(1, 7)} | {
    "#000010": "var(--soft)",
    "#000011": "var(--rule)",
    "#000012": "var(--warning)",
}
TEXT, RULE, WARNING = "#000010", "#000011", "#000012"
# Lines differ in their dashes too: no information is in colour alone.
_DASHES: tuple[tuple[int, ...], ...] = (
    (),
    (6, 3),
    (2, 2),
    (9, 3, 2, 3),
    (12, 4),
    (4, 2, 1, 2, 1, 2),
)

WIDTH, HEIGHT = 390, 250

_SMALLEST_DECIMAL = 1e-4
"""Smallest value on a logarithmic axis whose ticks are decimals; of smaller ones all are powers of ten."""

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.labelcolor": TEXT,
    "axes.labelpad": 6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "font.size": 11.5,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "lines.scale_dashes": False,
    "svg.fonttype": "none",  # real text, in the page's font
    "svg.hashsalt": "convergan",
    "text.color": TEXT,
    "text.parse_math": False,  # names are names
    "xtick.color": RULE,
    "xtick.labelcolor": TEXT,
    "ytick.color": RULE,
    "ytick.labelcolor": TEXT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True)
class Line:
    """A curve of at least one point."""

    name: str
    x: Sequence[float]
    values: Sequence[float]
    style: int
    """Number of the curve's style, from 0: the first six differ in their colour, the first 36 in their
    colour or their dashes."""

    low: Sequence[float] = ()
    """Lower edge of the band around the curve, with the upper edge in `high`; empty without a band."""

    high: Sequence[float] = ()

    @property
    def icon(self) -> Markup:
        """Icon of the curve in a legend."""
        dashes = " ".join(map(str, _dashes(self.style))) or "none"
        return Markup(
            '<svg viewBox="0 0 26 4" aria-hidden="true"><path d="M0 2H26" '
            'style="stroke: {}; stroke-dasharray: {}"/></svg>'
        ).format(page_colour(self.style), dashes)


def _dashes(style: int) -> tuple[int, ...]:
    """Dashes of a style: those of its colour, one further for each repetition of the colours."""
    return _DASHES[(style + style // 6) % 6]


def ink(style: int) -> str:
    """The colour to draw a style in, which the page replaces by its own."""
    return f"#0000{style % 6 + 1:02x}"


def page_colour(style: int) -> str:
    """The page's colour of a style."""
    return _COLOURS[ink(style)]


def percent_axis(y: float, _: Any = None) -> str:
    """Text of a tick on an axis of rates."""
    return f"{100 * y:g}\N{NO-BREAK SPACE}%"


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_axis(y: float, _: Any = None) -> str:
    """Text of a tick on a logarithmic axis: a power of ten, or a multiple of one."""
    exponent = math.floor(math.log10(y) + 1e-9)
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    multiple = f"{y / 10.0**exponent:.3g}"
    return power if multiple == "1" else f"{multiple} · {power}"


def _number_axis(y: float, _: Any = None) -> str:
    return f"{y:g}"


def line_chart(
    lines: Sequence[Line],
    *,
    name: str,
    x_label: str,
    y_label: str,
    y_bottom: float = 0,
    y_top: float | None = None,
    percent: bool = False,
    log: bool = False,
    reference: float | None = None,
    marked: Sequence[float] = (),
    integer_x: bool = True,
) -> Markup:
    """Draw curves over integers, such as epochs, or, without `integer_x`, over any numbers; `marked` are
    those with a vertical mark.
    """

    def draw(axes: Axes) -> None:
        for x in marked:
            axes.axvline(x, color=WARNING, linewidth=1, alpha=0.45)
        if reference is not None:
            axes.axhline(reference, color=TEXT, linewidth=1)
        for line in reversed(lines):  # the first one lies on top
            dashes = _dashes(line.style)
            if line.low:
                axes.fill_between(
                    line.x, line.low, line.high, color=ink(line.style), alpha=0.14, linewidth=0
                )
            axes.plot(
                line.x,
                line.values,
                color=ink(line.style),
                linewidth=1.8,
                linestyle=(0, dashes) if dashes else "solid",
            )
            axes.plot(line.x[-1], line.values[-1], "o", color=ink(line.style), markersize=4.5)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.grid(False)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=integer_x))
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=min(y_bottom, *(min(line.values) for line in lines)), top=y_top)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        text = percent_axis if percent else _number_axis
        if log and min(min(line.values) for line in lines) < _SMALLEST_DECIMAL:
            text = power_axis
        axes.yaxis.set_major_formatter(FuncFormatter(text))

    return figure(draw, name=name)


def figure(
    draw: Callable[[Axes], None], *, name: str, width: float = WIDTH, height: float = HEIGHT
) -> Markup:
    """The drawing of `draw` as SVG of `width` x `height` points; `name` makes its ids differ from those of
    the page's other figures.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's own style is for the user's own figures
        matplotlib.rcParams.update(_STYLE)
        canvas = Figure(figsize=(width / 72, height / 72), layout="constrained")
        axes = canvas.add_subplot()
        canvas.patch.set_visible(False)
        axes.patch.set_visible(False)
        draw(axes)
        file = io.StringIO()
        canvas.savefig(file, format="svg", metadata={"Date": None})
    return Markup(_for_page(file.getvalue(), name))


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    # A style inside an SVG would hold for the whole page; the page's own has these two lines.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<svg [^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg, count=1
    )
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    # A hundredth of a point is fine enough for coordinates, which stand inside tags; texts stay whole.
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    return re.sub(r"#0000[01][0-9a-f]", lambda match: _COLOURS[match[0]], svg)
