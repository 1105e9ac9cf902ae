"""What the terminal shows of a run: a bar while it goes on, and the verdict at its end."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from convergan.errors import printable
from convergan.page.words import number, percent
from convergan.training.health import HealthWarning


class _BarAboveNumbers(Bar):
    """A bar, and below it the last epoch's numbers: one line has no room for both."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines, from above."""
        yield from super().get_renderables()
        for task in self.tasks:
            yield Text(task.fields["numbers"], no_wrap=True, overflow="ellipsis")


class Progress:
    """A progress bar with losses, errors, seconds per epoch and time left; silent without terminal."""

    def __init__(self, console: Console, epochs: int, *, title: str) -> None:
        self.console = console
        self._epochs = epochs
        self._bar = _BarAboveNumbers(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._title = title
        self._task = self._bar.add_task(self._describe(0), total=None, speed="", numbers="")

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def steps_done(self, done: int, of: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=done, total=of)

    def epoch_ended(self, line: dict[str, Any]) -> None:
        """Shows the numbers of a line of metrics.jsonl."""
        sides = {"discriminator": 0.0, "generator": 0.0}
        for name, loss in line["losses"].items():
            side = name.split("/")[0]
            if side in sides:
                sides[side] += loss
        losses = ", ".join(f"{side} {number(loss)}" for side, loss in sides.items())
        numbers = f"losses: {losses}"
        if "test_errors" in line:
            numbers += f"; error {100 * line['test_errors'] / line['test_size']:.1f}%"
        if "baseline_test_errors" in line:
            numbers += f" (baseline {100 * line['baseline_test_errors'] / line['test_size']:.1f}%)"
        seconds = line["seconds_per_epoch"]
        self._bar.update(
            self._task,
            description=self._describe(line["epoch"]),
            speed=f"{seconds:.2g} s/epoch" if seconds < 10 else f"{seconds:.0f} s/epoch",
            numbers=numbers,
        )

    def warn(self, warning: HealthWarning) -> None:
        """Prints a warning above the bar."""
        self.console.print(
            f"[yellow]warning[/] epoch {warning.epoch}: {escape(warning.message)}; "
            f"{escape(warning.advice)}",
            highlight=False,
        )

    def _describe(self, epoch: int) -> str:
        return f"{self._title} {epoch}/{self._epochs}"


def print_verdict(console: Console, results: dict[str, Any], sentence: str, report: str) -> None:
    """The verdict of results.json as a table, its sentence, and where the report is."""
    if "test_errors" in results:
        table = Table("", "errors", "of", "error rate", "95 % interval", box=None, pad_edge=False)
        rows = [("semi-supervised GAN", "test")]
        if results["baseline_test_errors"] is not None:
            rows.insert(0, ("supervised baseline", "baseline_test"))
        for name, key in rows:
            low, high = results[f"{key}_interval"]
            table.add_row(
                name,
                str(results[f"{key}_errors"]),
                str(results["test_size"]),
                percent(results[f"{key}_error_rate"], size=results["test_size"]),
                f"{100 * low:.1f} to {percent(high)}",
            )
        console.print(table)
        console.print()
    console.print(sentence, highlight=False)
    # Not `print`: brackets in a path are no markup.
    console.out(printable(f"report: {report}"), highlight=False)
