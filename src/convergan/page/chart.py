"""A figure with its words."""

from dataclasses import dataclass

from markupsafe import Markup

from convergan.page.figures import Line


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure as the macro `chart` of page/macros.html.j2 shows it."""

    title: str
    svg: Markup

    legend: list[tuple[Line, str]]
    """Each line with the value that stands beside its name."""

    description: str
    """What those read who do not see the figure."""

    caption: str

    marked: str = ""
    """What the vertical marks in it stand for; empty without marks."""
