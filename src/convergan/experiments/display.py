"""Display of `convergan reproduce` while it runs: results as they come, a line for each running cell."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from convergan.errors import printable
from convergan.experiments.watch import Standing
from convergan.page.words import approximate_duration
from convergan.progress_bar import LogRate

_MOST_SHOWN = 12
"""Largest number of running cells that have a line of their own."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A cell that is being computed."""

    title: str
    standing: Standing | None
    seconds_left: float | None


class Display:
    """Display with a line for each running cell below the results in a terminal; in a log, a line a minute.

    Args:
        console: console to write to.
        total: number of cells to compute.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._log = LogRate(at_once=False)
        self._start = time.monotonic()
        self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def tell(self, text: str) -> None:
        """Print a line that stays."""
        with suppress(OSError):
            self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def update(self, running: Sequence[Running], done: int, seconds_left: float | None) -> None:
        """Show what is being computed."""
        summary = f"{done} of {self._total} done, {len(running)} running"
        if seconds_left:
            summary += f", about {approximate_duration(seconds_left)} left"
        if not self._console.is_terminal:
            if self._log.is_due():
                self.tell("; ".join([summary, *map(_in_words, running[:_MOST_SHOWN])]))
            return
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, max_width=44, overflow="ellipsis")
        for cell in running[:_MOST_SHOWN]:
            current = cell.standing
            bar: RenderableType = (
                "" if current is None else ProgressBar(total=1, completed=current.share, width=12)
            )
            epoch = "" if current is None else f"{current.epochs_done}/{current.epochs}"
            left = "" if not cell.seconds_left else approximate_duration(cell.seconds_left)
            table.add_row(printable(cell.title), bar, epoch, left)
        table.add_row(summary)
        with suppress(OSError):
            self._live.update(table, refresh=True)


def _in_words(cell: Running) -> str:
    current = cell.standing
    return cell.title if current is None else f"{cell.title} {current.epochs_done}/{current.epochs}"
