"""A progress bar for commands that take longer than a few seconds; in a log, a line a minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convergan.terminal import standard_console

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]
"""Function that is called with the number of steps, or images, done and with that of all."""

LOG_EVERY_SECONDS = 60.0
"""Shortest time between two lines in a log."""


class LogRate:
    """A limit on the rate of lines in a log: one line in `LOG_EVERY_SECONDS`.

    Args:
        at_once: the first line may come now; otherwise after `LOG_EVERY_SECONDS`.
    """

    def __init__(self, *, at_once: bool) -> None:
        self._last = None if at_once else time.monotonic()

    def is_due(self) -> bool:
        """True if a line may be written; the caller must then write it."""
        time_now = time.monotonic()
        if self._last is not None and time_now - self._last < LOG_EVERY_SECONDS:
            return False
        self._last = time_now
        return True


@contextmanager
def progress_bar(
    title: str, *, unit: str = "images", quiet: bool = False, console: "Console | None" = None
) -> Iterator[Progress]:
    """Yield a function to call with (done, total).

    Without a terminal the log gets a line a minute, and none if all is done in less. Both go to the standard
    error, as the standard output may be what a command writes its results to.

    Args:
        title: what is done.
        unit: what is counted; empty: no speed is shown.
        quiet: show nothing.
        console: where, in place of the standard error.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = console or standard_console(stderr=True)
    log = LogRate(at_once=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    ) as bar:
        task = bar.add_task(title, total=None, speed="")

        def progress(done: int, total: int) -> None:
            if bar.disable:
                if not quiet and log.is_due():
                    console.out(f"{title}: {done:,} of {total:,} {unit}".rstrip(), highlight=False)
                return
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            speed_text = f"{speed:,.0f} {unit}/s" if speed and unit else ""
            bar.update(task, completed=done, total=total, speed=speed_text)

        yield progress
