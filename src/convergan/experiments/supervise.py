"""Running missing cells on workers, in their order and with retries, until all are done or time is up."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convergan.experiments.cells import Cell, Scoring, Training
from convergan.experiments.display import Display, Running
from convergan.experiments.store import Store
from convergan.experiments.watch import CellDurations, Standing, makespan, standing, steps_kept
from convergan.experiments.work import Job, job_of
from convergan.experiments.workers import STOP_SECONDS, Ended, Workers
from convergan.training.signals import Terminated

ATTEMPTS = 3
"""Number of times that a cell is begun whose worker ends before it is done and without a newer checkpoint."""

_WATCH_SECONDS = 0.5

_LATER_SECONDS = 30.0
"""Time after which a cell is tried again if another process trains it, or if it had too little memory."""


@dataclass(kw_only=True)
class CallProgress:
    """Outcome of the cells of a call."""

    done: list[str] = field(default_factory=list)
    """Names of the cells that this call computed."""

    failed: dict[str, str] = field(default_factory=dict)
    """Errors, each in one line, by the name of the cell."""

    interrupted: bool = False
    """True if the user asked for an end before all was done."""

    exit_code: int = 130
    """Exit code of shells for a command that the signal ended by which the user asked for it."""


class Supervisor:
    """Keeps workers busy with cells.

    Args:
        store: the store of the cells.
        workers: the workers that compute them.
        display: display of their progress.
        left: estimate of the time left.
        at_once: number of cells that the workers compute at the same time; None: as many as they take.
        deadline: time of `time.monotonic` at which the workers are asked to stop; None: never.
        checkpoint_every_seconds: most training time, in seconds, that a killed training loses.
        weights: file of the Inception network's weights.
        on_done: called with each cell as it is done.
    """

    def __init__(
        self,
        store: Store,
        workers: Workers,
        display: Display,
        left: CellDurations,
        *,
        at_once: int | None = None,
        deadline: float | None = None,
        checkpoint_every_seconds: float = 30.0,
        weights: Path | None = None,
        on_done: Callable[[Cell], None] = lambda cell: None,
    ) -> None:
        self._store, self._workers, self._display, self._left = store, workers, display, left
        self._at_once, self._deadline, self._on_done = at_once, deadline, on_done
        self._every, self._weights = checkpoint_every_seconds, weights
        self._waiting: list[Cell] = []
        self._running: dict[str, Cell] = {}
        self._begin_times: dict[str, float] = {}
        self._attempts: Counter[str] = Counter()
        self._steps_kept: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        """Times at which to try cells again that cannot be begun now, by their names."""
        self._reported_busy: set[str] = set()
        self.progress = CallProgress()

    def run(self, cells: Sequence[Cell]) -> CallProgress:
        """Compute cells; each comes after those that it needs, which are among them or usable.

        Ctrl-C, or `Terminated`, asks the workers to stop; a second one ends them at once.
        """
        self._waiting = list(cells)
        try:
            while self._waiting or self._running:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._display.tell("the budget is spent; the same command continues")
                    self._stop()
                    break
                self._begin_ready()
                if self._running:
                    for ended in self._workers.ended(_WATCH_SECONDS):
                        self._settle(ended)
                elif self._waiting:
                    time.sleep(_WATCH_SECONDS)
                self._show()
        except KeyboardInterrupt as end:
            self.progress.interrupted = True
            if isinstance(end, Terminated):
                self.progress.exit_code = end.exit_code
            self._stop()
        return self.progress

    def _begin_ready(self) -> None:
        missing = {cell.name for cell in self._waiting} | set(self._running)
        for cell in list(self._waiting):
            lacking = [need for need in cell.needs if need.name in self.progress.failed]
            if lacking:
                self._waiting.remove(cell)
                self._fail(cell, f"{lacking[0].title} failed")
            elif self._has_become_done(cell):
                self._waiting.remove(cell)
                self._succeed(cell)
            elif self._workers.free() <= 0:
                return
            elif cell.name not in self._not_before and not any(
                need.name in missing for need in cell.needs
            ):
                self._waiting.remove(cell)
                self._begin(cell)

    def _has_become_done(self, cell: Cell) -> bool:
        """True if a cell that could not be begun is done by now; otherwise it can be tried again, in time."""
        retry_time = self._not_before.get(cell.name)
        if retry_time is None or time.monotonic() < retry_time:
            return False
        del self._not_before[cell.name]
        return self._store.outcome(cell) is not None

    def _begin(self, cell: Cell) -> None:
        self._store.make_way(cell)
        self._running[cell.name] = cell
        self._attempts[cell.name] += 1
        self._begin_times[cell.name] = time.monotonic()
        self._workers.begin(self._job(cell))

    def _job(self, cell: Cell) -> Job:
        return job_of(
            cell,
            self._store.cell_folder(cell),
            self._store.log(cell),
            members=tuple(self._store.cell_folder(need) for need in cell.needs),
            checkpoint_every_seconds=self._every,
            weights=self._weights,
        )

    def _settle(self, ended: Ended) -> None:
        cell, answer = self._running.pop(ended.job.name), ended.answer
        if answer is None:
            self._begin_again(cell, ended.death)
        elif answer.ending == "done":
            if isinstance(cell, Scoring):
                self._left.add_timing(cell, time.monotonic() - self._begin_times[cell.name])
            self._succeed(cell)
        elif answer.ending == "busy":
            self._wait_for(cell, answer.error or "")
        elif answer.ending == "stopped":
            # Somebody else sent it a signal.
            self._begin_again(cell, "its process was asked to stop")
        elif answer.ending == "out of memory":
            # Other processes may have had the memory.
            self._not_before[cell.name] = time.monotonic() + _LATER_SECONDS
            self._begin_again(cell, answer.error or "out of memory")
        else:
            self._fail(cell, answer.error or "failed")

    def _begin_again(self, cell: Cell, reason: str) -> None:
        """Put a cell first whose worker ended before it was done; fail it if it no longer advances."""
        steps = steps_kept(self._store, cell)
        if steps > self._steps_kept.get(cell.name, 0):
            self._attempts[cell.name] = 1
        self._steps_kept[cell.name] = steps
        attempt = self._attempts[cell.name]
        if attempt < ATTEMPTS:
            self._display.tell(f"{cell.title}: {reason}; restarted from its checkpoint")
            self._waiting.insert(0, cell)
        else:
            self._fail(cell, f"{reason}, {attempt} times in a row")

    def _wait_for(self, cell: Cell, reason: str) -> None:
        """Leave a cell to another process that trains it, and check again later."""
        self._attempts[cell.name] -= 1
        if cell.name not in self._reported_busy:
            self._reported_busy.add(cell.name)
            self._display.tell(f"{cell.title}: left to another process: {reason}")
        self._not_before[cell.name] = time.monotonic() + _LATER_SECONDS
        self._waiting.append(cell)

    def _succeed(self, cell: Cell) -> None:
        if self._store.outcome(cell) is None:
            self._fail(cell, self._store.problems.get(cell.name, "its worker left no results.json"))
            return
        self.progress.done.append(cell.name)
        self._on_done(cell)

    def _fail(self, cell: Cell, error: str) -> None:
        self.progress.failed[cell.name] = error
        self._display.tell(f"{cell.title}: failed: {error}")

    def _stop(self) -> None:
        """Ask the workers to stop, and wait for their checkpoints."""
        self._waiting.clear()
        self._workers.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < deadline:
            for ended in self._workers.ended(_WATCH_SECONDS):
                cell, answer = self._running.pop(ended.job.name), ended.answer
                # One may have ended by itself.
                if answer is not None and answer.ending == "done":
                    self._succeed(cell)

    def _show(self) -> None:
        standings: dict[str, Standing | None] = {}
        for name, cell in self._running.items():
            standings[name] = current = standing(self._store, cell)
            if isinstance(cell, Training) and current is not None:
                self._left.observe(cell, current)
        cells = [*self._running.values(), *self._waiting]
        seconds_left = {
            cell.name: self._left.seconds(cell, standings.get(cell.name)) for cell in cells
        }
        running = [
            Running(title=cell.title, standing=standings[name], seconds_left=seconds_left[name])
            for name, cell in self._running.items()
        ]
        # Scores count as nothing until one has been timed: trainings take far longer.
        durations = [
            0.0
            if isinstance(cell, Scoring) and seconds_left[cell.name] is None
            else seconds_left[cell.name]
            for cell in cells
        ]
        left = None
        if all(seconds is not None for seconds in durations):
            workers = self._at_once or len(self._running) + max(0, self._workers.free())
            left = makespan([seconds for seconds in durations if seconds is not None], workers)
        done = len(self.progress.done) + len(self.progress.failed)
        # Some of the jobs that a cluster was given wait there.
        running.sort(key=lambda cell: cell.standing is None or not cell.standing.epochs_done)
        self._display.update(running[: self._at_once], done, left)
