"""Progress of a run in the terminal or a log, and the verdict at its end."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
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
"""Number of recent epochs from which the speed is estimated: the machine may have become busier since the
start."""

_FEWEST_EPOCHS = 3
"""Number of epochs from which their median replaces the speed that was planned."""

_SLOWER = 1.5
"""Ratio of a step's duration to the planned one from which the run says that it takes longer than planned."""


@dataclass(frozen=True, kw_only=True)
class ProgressEntry:
    """A training in the progress of a run."""

    title: str
    """Text before the number of the epoch, such as "fold 1 of 4: epoch"."""

    epochs: int
    steps: int
    """Number of steps over all epochs."""

    step_cost: float = 1.0
    """Duration of a step, in a unit that all trainings of the run share."""

    trainings: int = 1
    """Number of trainings that this entry represents, which take their steps together."""

    @property
    def cost(self) -> float:
        """Duration of the training, in the unit of `step_cost`."""
        return self.steps * self.step_cost


class TimeLeft:
    """Estimate of the remaining time of all trainings of a run, from the median speed of the last epochs.

    A single slow epoch, such as the first, in which memory is allocated, does not change the median. Until
    `_FEWEST_EPOCHS` epochs have been measured, a plan's own speed counts if there is one.
    """

    def __init__(self, trainings: list[ProgressEntry], *, planned: bool = False) -> None:
        """Args:
        trainings: all trainings of the run, in their order.
        planned: True if their `step_cost` is the duration of a step in seconds, as measured for a plan.
        """
        self._trainings, self._planned = trainings, planned
        self._number = 0
        self._done = 0
        self._paces: deque[float] = deque(maxlen=_EPOCHS_LOOKED_BACK)
        """Seconds per unit of cost in each epoch that this process has trained."""
        self._steps = 0
        """Steps that this process has taken in the current epoch."""
        self._start: float | None = None
        """Time at which it began the current epoch."""
        self._last_step: float = 0.0
        """Time at which the last step ended."""

    def training_begins(self, number: int) -> None:
        """Start the clock of training `number`, counted from 0, when it begins or is resumed."""
        self._number, self._done, self._steps = number, 0, 0
        self._start = time.monotonic()

    def steps_done(self, done: int) -> None:
        """Set the number of steps done in the training, which is lower after a return to a checkpoint."""
        self._steps += max(done - self._done, 1) if self._done else 1
        self._done, self._last_step = done, time.monotonic()

    def epoch_ended(self) -> None:
        """Record the speed of an epoch that ends.

        A plan counts tests apart from steps: they do not make its steps slower.
        """
        pace = self._pace_until(self._last_step if self._planned else time.monotonic())
        if pace is not None:
            self._paces.append(pace)
        self._start, self._steps = time.monotonic(), 0

    def _pace_until(self, end: float) -> float | None:
        """Seconds per unit of cost in the current epoch until `end`; None before its first step."""
        cost = self._steps * self._trainings[self._number].step_cost
        return (end - self._start) / cost if cost and self._start is not None else None

    @property
    def _pace(self) -> float | None:
        """Seconds per unit of cost; None if nothing has been measured."""
        if self._paces and not (self._planned and len(self._paces) < _FEWEST_EPOCHS):
            return median(self._paces)
        return 1.0 if self._planned else self._pace_until(time.monotonic())

    @property
    def times_planned(self) -> float | None:
        """Duration of steps in multiples of the planned one; None without a plan or too few epochs."""
        enough = self._planned and len(self._paces) >= _FEWEST_EPOCHS
        return median(self._paces) if enough else None

    @property
    def seconds(self) -> float | None:
        """Estimated seconds until all trainings end; None before the first step."""
        now, *later = self._trainings[self._number :]
        remaining = (now.steps - self._done) * now.step_cost + sum(
            training.cost for training in later
        )
        pace = self._pace
        return None if pace is None else remaining * pace

    @property
    def trainings(self) -> int:
        """Number of trainings that are not finished, including the current one."""
        return sum(entry.trainings for entry in self._trainings[self._number :] if entry.steps)


class RunProgress:
    """Progress of all trainings of a run: a bar in a terminal; in a log, a line per epoch, but at most one a
    minute.
    """

    def __init__(
        self,
        console: Console,
        trainings: Sequence[ProgressEntry],
        *,
        planned: bool = False,
        plan_printed: bool = False,
    ) -> None:
        """Args:
        console: console to print to.
        trainings: all trainings of the run, in their order.
        planned: True if their `step_cost` is the duration of a step in seconds, as measured for a plan.
        plan_printed: True if the plan, with its estimate of the time, has been printed.
        """
        self.console, self._trainings = console, list(trainings)
        self.left = TimeLeft(self._trainings, planned=planned)
        self.log = LogRate(at_once=True)
        self._told_time, self._told_slow = plan_printed, False
        self._start = time.monotonic()

    def training(self, number: int, entry: ProgressEntry | None = None) -> "TrainingProgress":
        """The progress of training `number`, counted from 0, whose expected entry `entry` replaces."""
        if entry is not None:
            self._trainings[number] = entry
        return TrainingProgress(self, number, self._trainings[number])

    def tell_time(self, *, resumed: bool) -> None:
        """Print the estimated time of all remaining trainings at the end of an epoch: once, unless it was
        told with the plan, and again if steps take much longer than planned.
        """
        seconds, trainings = self.left.seconds, self.left.trainings
        times = self.left.times_planned
        if seconds and times is not None and times > _SLOWER and not self._told_slow:
            self._told_time = self._told_slow = True
            self.say(
                f"steps take {times:.1f} times as long as planned, as on a busy machine: about"
                f" {approximate_duration(seconds)} left"
            )
        if self._told_time or not seconds:
            return
        self._told_time = True
        subject = f"{trainings} trainings" if trainings > 1 else "this training"
        epochs = {training.epochs for training in self._trainings}
        epochs_in_words = f" of {epochs.pop():,} epochs" if len(epochs) == 1 else ""
        if resumed:
            text = f"the rest of {subject} will take about {approximate_duration(seconds)}"
        else:
            seconds += time.monotonic() - self._start
            duration = approximate_duration(seconds)
            text = f"{subject}{epochs_in_words} will take about {duration} in all"
        self.say(text)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        with suppress(OSError):
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _BarAboveNumbers(Bar):
    """A bar, with the last epoch's numbers below it, as one line has no room for both."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines, from top to bottom."""
        yield from super().get_renderables()
        for task in self.tasks:
            yield Text(task.fields["numbers"], no_wrap=True, overflow="ellipsis")


class TrainingProgress:
    """Progress of one training: losses, errors, seconds per epoch, and the remaining time of the whole run.

    A terminal that closes does not end the training.
    """

    def __init__(self, run: RunProgress, number: int, entry: ProgressEntry) -> None:
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
        self._title, self._epochs, self._trainings = entry.title, entry.epochs, entry.trainings
        self._resumed = False
        self._task = self._bar.add_task(
            self._describe(0), total=None, speed="", left="", numbers=""
        )

    def __enter__(self) -> "TrainingProgress":
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
        """Show that the training begins, or is resumed, after `epochs_done` epochs."""
        self._resumed = self._resumed or epochs_done > 0
        self._run.left.training_begins(self._number)
        self._bar.update(self._task, description=self._describe(epochs_done))

    def steps_done(self, done: int, total: int) -> None:
        """Move the bar."""
        self._run.left.steps_done(done)
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, total=total, left=self._time_left())

    def epoch_ended(self, line: EpochLine) -> None:
        """Show the numbers of an epoch."""
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
                losses_in_words = " and ".join(map(number, losses.values()))
                parts = [
                    self._describe(line.epoch),
                    f"loss {losses_in_words}" if len(losses) == 1 else f"losses {losses_in_words}",
                    error,
                    self._time_left(),
                ]
                self._run.say(", ".join(part for part in parts if part))
            return
        losses_in_words = ", ".join(f"{player} {number(loss)}" for player, loss in losses.items())
        if len(losses) == 1:
            losses_in_words = number(*losses.values())
        seconds = line.seconds_per_epoch * self._trainings
        self._bar.update(
            self._task,
            description=self._describe(line.epoch),
            speed=f"{seconds:.2g} s/epoch" if seconds < 10 else f"{seconds:.0f} s/epoch",
            left=self._time_left(),
            numbers=f"{'loss' if len(losses) == 1 else 'losses'}: {losses_in_words}"
            + (f"; {error}{baseline}" if error else ""),
        )

    def warn(self, warning: HealthWarning) -> None:
        """Print a warning above the bar."""
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
    """Print the results of a run as a table, its verdict, and the path of the report."""
    rows = [
        (name, result)
        for name, result in (
            (baseline_name(results), results.baseline_test),
            (model_name(results), results.test),
        )
        if result is not None
    ]
    if results.arms:
        console.print(_arms(results))
        console.print(f"intervals: {results.interval_method}", highlight=False)
        console.print()
    elif rows:
        table = Table("", "errors", "of", "error rate", "95 % interval", box=None, pad_edge=False)
        for name, result in rows:
            low, high = result.interval
            table.add_row(
                name,
                str(result.errors),
                str(result.size),
                percent(result.rate, size=result.size),
                percent_interval(low, high),
            )
        console.print(table)
        console.print()
    console.print(sentence, highlight=False)
    # Not `print`, which would interpret brackets in a path as markup.
    console.out(printable(f"report: {report}"), highlight=False)


def _arms(results: Results) -> Table:
    """The arms as a table, in which the saved one is marked."""
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
