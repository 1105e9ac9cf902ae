"""A run's progress in the terminal or a log, and the verdict at its end."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from convergan.errors import printable
from convergan.page.words import approximate_duration, number, percent, percent_interval
from convergan.progress_bar import LogRate
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.results import Results
from convergan.training.verdict import baseline_name, model_name

_EPOCHS_LOOKED_BACK = 10
"""Epochs whose speed is taken for the next: the machine may have become busier since the start."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A training as the progress shows it."""

    title: str
    """What stands before the number of the epoch: "fold 1 of 4: epoch"."""

    epochs: int
    steps: int
    """Number of steps over all epochs."""

    step_cost: float = 1.0
    """Duration of a step, in any unit that all trainings of the run share."""

    trainings: int = 1
    """Number of the trainings that this one stands for, which take their steps together."""

    @property
    def cost(self) -> float:
        """Duration of the training in that unit."""
        return self.steps * self.step_cost


class TimeLeft:
    """Estimate of the time that all trainings of a run still take, from the speed of the last epochs."""

    def __init__(self, trainings: list[Shown]) -> None:
        """
        Args:
            trainings: in their order.
        """
        self._trainings = trainings
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
        now, *later = self._trainings[self._number :]
        remaining = (now.steps - self._done) * now.step_cost + sum(each.cost for each in later)
        if not self._marks:
            return None
        first_time, first_steps = self._marks[0]
        steps = self._process_steps - first_steps
        if not steps:
            return None
        return remaining * (time.monotonic() - first_time) / (steps * now.step_cost)

    @property
    def trainings(self) -> int:
        """Number of trainings that are not finished, including the present one."""
        return len(self._trainings) - self._number


class RunProgress:
    """Shows all trainings of a run: in a terminal a bar, in a log a line an epoch, at most one a minute."""

    def __init__(self, console: Console, trainings: Sequence[Shown]) -> None:
        """
        Args:
            console: console to print to.
            trainings: all trainings of the run in their order.
        """
        self.console, self._trainings = console, list(trainings)
        self.left = TimeLeft(self._trainings)
        self.log = LogRate(at_once=True)
        self._told_time = False
        self._start = time.monotonic()

    def training(self, number: int, shown: Shown | None = None) -> "Progress":
        """The progress of training `number`, from 0; `shown` takes the place of what was expected there."""
        if shown is not None:
            self._trainings[number] = shown
        return Progress(self, number, self._trainings[number])

    def tell_time(self, *, resumed: bool) -> None:
        """Prints, once and after an epoch, the estimated time that all remaining trainings take."""
        seconds, trainings = self.left.seconds, self.left.trainings
        if self._told_time or not seconds:
            return
        self._told_time = True
        subject = f"{trainings} trainings" if trainings > 1 else "this training"
        epochs = {each.epochs for each in self._trainings}
        of_epochs = f" of {epochs.pop():,} epochs" if len(epochs) == 1 else ""
        if resumed:
            text = f"what is left of {subject} will take about {approximate_duration(seconds)}"
        else:
            seconds += time.monotonic() - self._start
            duration = approximate_duration(seconds)
            text = f"{subject}{of_epochs} will take about {duration} in all"
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

    def __init__(self, run: RunProgress, number: int, shown: Shown) -> None:
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
        self._title, self._epochs, self._trainings = shown.title, shown.epochs, shown.trainings
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
        losses: dict[str, float] = {}
        for name, loss in line.losses.items():
            player = name.split("/")[0]
            if player != "baseline":
                losses[player] = losses.get(player, 0.0) + loss
        error, baseline = "", ""
        if line.test_size is not None and line.test_errors is not None:
            error = f"error {100 * line.test_errors / line.test_size:.1f}%"
        if line.test_size is not None and line.baseline_test_errors is not None:
            baseline = f" (baseline {100 * line.baseline_test_errors / line.test_size:.1f}%)"
        if self._bar.disable:
            if self._run.log.is_due():
                told = " and ".join(map(number, losses.values()))
                parts = [
                    self._describe(line.epoch),
                    f"loss {told}" if len(losses) == 1 else f"losses {told}",
                    error,
                    self._time_left(),
                ]
                self._run.say(", ".join(part for part in parts if part))
            return
        told = ", ".join(f"{player} {number(loss)}" for player, loss in losses.items())
        if len(losses) == 1:
            told = number(*losses.values())
        seconds = line.seconds_per_epoch * self._trainings
        self._bar.update(
            self._task,
            description=self._describe(line.epoch),
            speed=f"{seconds:.2g} s/epoch" if seconds < 10 else f"{seconds:.0f} s/epoch",
            left=self._time_left(),
            numbers=f"{'loss' if len(losses) == 1 else 'losses'}: {told}"
            + (f"; {error}{baseline}" if error else ""),
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
        return f"{self._title} {epoch}/{self._epochs}"


def print_verdict(console: Console, results: Results, sentence: str, report: str) -> None:
    """The verdict of a run as a table, its sentence, and where the report is."""
    rows = [
        (name, found)
        for name, found in (
            (baseline_name(results), results.baseline_test),
            (model_name(results), results.test),
        )
        if found is not None
    ]
    if results.arms:
        console.print(_arms(results))
        console.print(f"intervals: {results.interval_method}", highlight=False)
        console.print()
    elif rows:
        table = Table("", "errors", "of", "error rate", "95 % interval", box=None, pad_edge=False)
        for name, found in rows:
            low, high = found.interval
            table.add_row(
                name,
                str(found.errors),
                str(found.size),
                percent(found.rate, size=found.size),
                percent_interval(low, high),
            )
        console.print(table)
        console.print()
    console.print(sentence, highlight=False)
    # Not `print`: brackets in a path are no markup.
    console.out(printable(f"report: {report}"), highlight=False)


def _arms(results: Results) -> Table:
    """The arms, the saved one marked."""
    table = Table(
        "", "errors", "of", "error rate", "interval", "minutes", "", box=None, pad_edge=False
    )
    size = results.test_size or 0
    for arm in results.arms:
        low, high = arm.interval
        table.add_row(
            arm.name,
            str(arm.test_errors),
            str(size),
            percent(arm.test_error_rate, size=size),
            percent_interval(low, high),
            f"{arm.minutes:.1f}",
            "saved" if arm.name == results.saved_arm else "",
        )
    return table
