"""Figures as SVG files, which look the same whatever the user's style of matplotlib is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from convergan.outputs import binary_output


def write_figure(
    path: Path, draw: Callable[[Any], None], *, width: float = 6.0, height: float = 3.6
) -> None:
    """Write the drawing of `draw` on axes as SVG, sizes in inches; the same drawing gives the same bytes."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "convergan"}
        )
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        with binary_output(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})
