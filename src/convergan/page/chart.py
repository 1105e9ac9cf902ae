"""A figure with its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup


class Key(Protocol):
    """An entry of a legend: a line, or a kind of points."""

    @property
    def name(self) -> str: ...

    @property
    def icon(self) -> Markup: ...


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure as the macro `chart` of page/macros.html.j2 shows it."""

    title: str
    svg: Markup

    legend: Sequence[tuple[Key, str]]
    """Entries of the legend, each with the value beside its name."""

    description: str
    """Text for readers who cannot see the figure."""

    caption: str

    marked: str = ""
    """Meaning of the figure's vertical marks; empty without marks."""
