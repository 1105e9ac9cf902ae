"""What the terminal shows of a run: a bar while it goes on, and the verdict at its end."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from convergan.report.words import percent
from convergan.training.health import HealthWarning


class _Numbers(ProgressColumn):
    """The last epoch's numbers, in as few letters as a terminal of 80 columns leaves."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["numbers"])


class Progress:
    """A progress bar with losses, errors, seconds per epoch and time left; silent without terminal."""

    def __init__(self, console: Console, epochs: int, *, title: str) -> None:
        self.console = console
        self._epochs = epochs
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            _Numbers(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._title = title
        self._task = self._bar.add_task(self._describe(0), total=None, numbers="")

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
        numbers = f"D {sides['discriminator']:.2f} G {sides['generator']:.3f}"
        if "test_errors" in line:
            numbers += f" err {100 * line['test_errors'] / line['test_size']:.1f}%"
        if "baseline_test_errors" in line:
            numbers += f" (alone {100 * line['baseline_test_errors'] / line['test_size']:.1f}%)"
        numbers += f" {line['seconds_per_epoch']:.2g} s/ep"
        self._bar.update(self._task, description=self._describe(line["epoch"]), numbers=numbers)

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
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
