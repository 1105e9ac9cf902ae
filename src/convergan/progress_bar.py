"""A progress bar for commands that take longer than a few seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from convergan.terminal import standard_console


@contextmanager
def progress_bar(
    title: str, *, unit: str = "images", quiet: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (done, of all); silent where the output is no terminal, or if `quiet`.

    With an empty `unit` no speed is shown.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = standard_console()
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

        def progress(done: int, of: int) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            shown = f"{speed:,.0f} {unit}/s" if speed and unit else ""
            bar.update(task, completed=done, total=of, speed=shown)

        yield progress
