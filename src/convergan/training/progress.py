"""A run's progress in the terminal or a log, and the verdict at its end."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from convergan.errors import printable
from convergan.page.words import approximate_duration, number, percent
from convergan.progress_bar import LogRate
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.results import Results

_EPOCHS_LOOKED_BACK = 10
"""Epochs whose speed is taken for the next: the machine may have become busier since the start."""


class TimeLeft:
    """Estimate of the time that all trainings of a run still take, from the speed of the last epochs."""

    def __init__(self, steps: Sequence[int]) -> None:
        """
        Args:
            steps: number of steps of each training, in their order.
        """
        self._steps = steps
        self._number = 0
        self._done = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=_EPOCHS_LOOKED_BACK + 1)
        """Times with the steps that this process had done by them."""
        self._process_steps = 0
        self._start: float | None = None

    def training_begins(self, number: int) -> None:
        """Starts the clock of training `number`, counted from 0, as it begins or is resumed."""
        self._number, self._done, self._start = number, 0, time.monotonic()
        # What lies between two trainings is not to slow down the next.
        self._marks.clear()

    def steps_done(self, done: int) -> None:
        """Sets the number of steps done in the training, which is lower after a return to a checkpoint."""
        if not self._marks and self._start is not None:
            self._marks.append((self._start, self._process_steps))
        self._process_steps += max(done - self._done, 1) if self._done else 1
        self._done = done

    def epoch_ended(self) -> None:
        """Records the time at which an epoch ends."""
        self._marks.append((time.monotonic(), self._process_steps))

    @property
    def seconds(self) -> float | None:
        """Estimated seconds until all trainings end; None before the first step."""
        remaining_steps = (
            self._steps[self._number] - self._done + sum(self._steps[self._number + 1 :])
        )
        if not self._marks:
            return None
        first_time, first_steps = self._marks[0]
        steps = self._process_steps - first_steps
        return remaining_steps * (time.monotonic() - first_time) / steps if steps else None

    @property
    def trainings(self) -> int:
        """Number of trainings that are not finished, including the present one."""
        return len(self._steps) - self._number


class RunProgress:
    """Shows all trainings of a run: in a terminal a bar, in a log a line an epoch, at most one a minute."""

    def __init__(self, console: Console, epochs: int, steps: Sequence[int]) -> None:
        """
        Args:
            console: console to print to.
            epochs: number of epochs of each training.
            steps: number of steps of each training, over all its epochs: of the folds, then of the
                result.
        """
        self.console, self.epochs = console, epochs
        self.left = TimeLeft(steps)
        self.log = LogRate(at_once=True)
        self._folds = len(steps) - 1
        self._told_time = False
        self._start = time.monotonic()

    def training(self, number: int) -> "Progress":
        """The progress of training `number`, from 0."""
        title = "epoch" if number == self._folds else f"fold {number + 1} of {self._folds}: epoch"
        return Progress(self, number, title=title)

    def tell_time(self, *, resumed: bool) -> None:
        """Prints, once and after an epoch, the estimated time that all remaining trainings take."""
        seconds, trainings = self.left.seconds, self.left.trainings
        if self._told_time or not seconds:
            return
        self._told_time = True
        subject = f"{trainings} trainings" if trainings > 1 else "this training"
        if resumed:
            text = f"what is left of {subject} will take about {approximate_duration(seconds)}"
        else:
            seconds += time.monotonic() - self._start
            duration = approximate_duration(seconds)
            text = f"{subject} of {self.epochs:,} epochs will take about {duration} in all"
        self.say(text)

    def say(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        with suppress(OSError):
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _BarAboveNumbers(Bar):
    """A bar, and below it the last epoch's numbers: one line has no room for both."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines, from above."""
        yield from super().get_renderables()
        for task in self.tasks:
            yield Text(task.fields["numbers"], no_wrap=True, overflow="ellipsis")


class Progress:
    """One training: losses, errors, seconds per epoch, and the time left of the whole run.

    A terminal that goes away does not end the training.
    """

    def __init__(self, run: RunProgress, number: int, *, title: str) -> None:
        self._run, self._number = run, number
        self._bar = _BarAboveNumbers(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[left]}"),
            console=run.console,
            transient=True,
            disable=not run.console.is_terminal,
        )
        self._title = title
        self._resumed = False
        self._task = self._bar.add_task(
            self._describe(0), total=None, speed="", left="", numbers=""
        )

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._bar.stop()

    def begins_after(self, epochs_done: int) -> None:
        """Shows that the training begins, or is resumed, after `epochs_done` epochs."""
        self._resumed = self._resumed or epochs_done > 0
        self._run.left.training_begins(self._number)
        self._bar.update(self._task, description=self._describe(epochs_done))

    def steps_done(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._run.left.steps_done(done)
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, total=total, left=self._time_left())

    def epoch_ended(self, line: EpochLine) -> None:
        """Shows the numbers of an epoch."""
        self._run.left.epoch_ended()
        self._run.tell_time(resumed=self._resumed or self._number > 0)
        sides = {"discriminator": 0.0, "generator": 0.0}
        for name, loss in line.losses.items():
            side = name.split("/")[0]
            if side in sides:
                sides[side] += loss
        error, baseline = "", ""
        if line.test_size is not None and line.test_errors is not None:
            error = f"error {100 * line.test_errors / line.test_size:.1f}%"
        if line.test_size is not None and line.baseline_test_errors is not None:
            baseline = f" (baseline {100 * line.baseline_test_errors / line.test_size:.1f}%)"
        if self._bar.disable:
            if self._run.log.is_due():
                losses = " and ".join(number(loss) for loss in sides.values())
                parts = [
                    self._describe(line.epoch),
                    f"losses {losses}",
                    error,
                    self._time_left(),
                ]
                self._run.say(", ".join(part for part in parts if part))
            return
        losses = ", ".join(f"{side} {number(loss)}" for side, loss in sides.items())
        seconds = line.seconds_per_epoch
        self._bar.update(
            self._task,
            description=self._describe(line.epoch),
            speed=f"{seconds:.2g} s/epoch" if seconds < 10 else f"{seconds:.0f} s/epoch",
            left=self._time_left(),
            numbers=f"losses: {losses}" + (f"; {error}{baseline}" if error else ""),
        )

    def warn(self, warning: HealthWarning) -> None:
        """Prints a warning above the bar."""
        text = escape(printable(f"{warning.message}; {warning.advice}"))
        with suppress(OSError):
            self._run.console.print(
                f"[yellow]warning[/] {self._title} {warning.epoch}: {text}", highlight=False
            )

    def _time_left(self) -> str:
        seconds = self._run.left.seconds
        return f"{approximate_duration(seconds)} left" if seconds else ""

    def _describe(self, epoch: int) -> str:
        return f"{self._title} {epoch}/{self._run.epochs}"


def print_verdict(console: Console, results: Results, sentence: str, report: str) -> None:
    """The verdict of a run as a table, its sentence, and where the report is."""
    rows = [
        (name, found)
        for name, found in (
            ("supervised baseline", results.baseline_test),
            ("semi-supervised GAN", results.test),
        )
        if found is not None
    ]
    if rows:
        table = Table("", "errors", "of", "error rate", "95 % interval", box=None, pad_edge=False)
        for name, found in rows:
            low, high = found.interval
            table.add_row(
                name,
                str(found.errors),
                str(found.size),
                percent(found.rate, size=found.size),
                f"{100 * low:.1f} to {percent(high)}",
            )
        console.print(table)
        console.print()
    console.print(sentence, highlight=False)
    # Not `print`: brackets in a path are no markup.
    console.out(printable(f"report: {report}"), highlight=False)
