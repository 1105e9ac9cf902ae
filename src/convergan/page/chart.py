"""A figure with its words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup


class Key(Protocol):
    """What a legend explains: a line, or a kind of points."""

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
    """Each with the value that stands beside its name."""

    description: str
    """What those read who do not see the figure."""

    caption: str

    marked: str = ""
    """What the vertical marks in it stand for; empty without marks."""
