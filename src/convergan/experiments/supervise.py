"""Runs cells on workers: what is missing, in their order, with retries, until all are done or time is up."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convergan.experiments.cells import Cell, Training
from convergan.experiments.display import Display, Running
from convergan.experiments.store import Store
from convergan.experiments.watch import Standing, TimeLeft, makespan, standing, steps_kept
from convergan.experiments.work import Job, job_of
from convergan.experiments.workers import STOP_SECONDS, Ended, Workers

ATTEMPTS = 3
"""How often a cell is begun whose worker ends before it is done, each time from its last checkpoint, without
a step further."""

_WATCH_SECONDS = 0.5

_LATER_SECONDS = 30.0
"""Time after which a cell is tried again that another process trains, or that had too little memory."""


@dataclass(kw_only=True)
class Progress:
    """What became of the cells of a call."""

    done: list[str] = field(default_factory=list)
    """Names of the cells that this call computed."""

    failed: dict[str, str] = field(default_factory=dict)
    """By the name of a cell, its error in one line."""

    interrupted: bool = False
    """True if the user asked for an end before all was done."""


class Supervisor:
    """Keeps workers busy with cells.

    Args:
        store: where cells are.
        workers: what computes them.
        display: what shows them.
        left: estimate of the time left.
        at_once: how many cells the workers compute at the same time; None: as many as they take.
        deadline: time of `time.monotonic` at which the workers are asked to stop; None: never.
        checkpoint_every_seconds: what a killed training loses at most.
        weights: file of the Inception network's weights.
        told: called with each cell as it is done.
    """

    def __init__(
        self,
        store: Store,
        workers: Workers,
        display: Display,
        left: TimeLeft,
        *,
        at_once: int | None = None,
        deadline: float | None = None,
        checkpoint_every_seconds: float = 30.0,
        weights: Path | None = None,
        told: Callable[[Cell], None] = lambda cell: None,
    ) -> None:
        self._store, self._workers, self._display, self._left = store, workers, display, left
        self._at_once, self._deadline, self._told = at_once, deadline, told
        self._every, self._weights = checkpoint_every_seconds, weights
        self._waiting: list[Cell] = []
        self._running: dict[str, Cell] = {}
        self._attempts: Counter[str] = Counter()
        self._steps_kept: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        """By the name of a cell that cannot be begun just now, when to try it again."""
        self._told_busy: set[str] = set()
        self.progress = Progress()

    def run(self, cells: Sequence[Cell]) -> Progress:
        """Computes cells; each comes after those that it needs, which are among them or usable.

        Ctrl-C asks the workers to stop; a second one ends them at once.
        """
        self._waiting = list(cells)
        try:
            while self._waiting or self._running:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._display.tell("the budget is spent; the same command goes on")
                    self._stop()
                    break
                self._begin_ready()
                if self._running:
                    for ended in self._workers.ended(_WATCH_SECONDS):
                        self._settle(ended)
                elif self._waiting:
                    time.sleep(_WATCH_SECONDS)
                self._show()
        except KeyboardInterrupt:
            self.progress.interrupted = True
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
        until = self._not_before.get(cell.name)
        if until is None or time.monotonic() < until:
            return False
        del self._not_before[cell.name]
        return self._store.found(cell) is not None

    def _begin(self, cell: Cell) -> None:
        self._store.make_way(cell)
        self._running[cell.name] = cell
        self._attempts[cell.name] += 1
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
            self._succeed(cell)
        elif answer.ending == "busy":
            self._wait_for(cell, answer.error or "")
        elif answer.ending == "stopped":
            # By somebody else's signal.
            self._begin_again(cell, "its process was asked to stop")
        elif answer.ending == "out of memory":
            # What runs beside it may have had the memory.
            self._not_before[cell.name] = time.monotonic() + _LATER_SECONDS
            self._begin_again(cell, answer.error or "out of memory")
        else:
            self._fail(cell, answer.error or "failed")

    def _begin_again(self, cell: Cell, why: str) -> None:
        """Puts a cell first whose worker ended before it was done, unless it comes no further any more."""
        kept = steps_kept(self._store, cell)
        if kept > self._steps_kept.get(cell.name, 0):
            self._attempts[cell.name] = 1
        self._steps_kept[cell.name] = kept
        attempt = self._attempts[cell.name]
        if attempt < ATTEMPTS:
            self._display.tell(f"{cell.title}: {why}; begun again from its checkpoint")
            self._waiting.insert(0, cell)
        else:
            self._fail(cell, f"{why}, {attempt} times in a row")

    def _wait_for(self, cell: Cell, why: str) -> None:
        """Leaves a cell to another process that trains it, and looks again later."""
        self._attempts[cell.name] -= 1
        if cell.name not in self._told_busy:
            self._told_busy.add(cell.name)
            self._display.tell(f"{cell.title}: left to another process: {why}")
        self._not_before[cell.name] = time.monotonic() + _LATER_SECONDS
        self._waiting.append(cell)

    def _succeed(self, cell: Cell) -> None:
        if self._store.found(cell) is None:
            self._fail(cell, self._store.problems.get(cell.name, "its worker left no results.json"))
            return
        self.progress.done.append(cell.name)
        self._told(cell)

    def _fail(self, cell: Cell, error: str) -> None:
        self.progress.failed[cell.name] = error
        self._display.tell(f"{cell.title}: failed: {error}")

    def _stop(self) -> None:
        """Asks the workers to stop, and waits for their checkpoints."""
        self._waiting.clear()
        self._workers.stop()
        until = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < until:
            for ended in self._workers.ended(_WATCH_SECONDS):
                cell, answer = self._running.pop(ended.job.name), ended.answer
                # One may have ended by itself.
                if answer is not None and answer.ending == "done":
                    self._succeed(cell)

    def _show(self) -> None:
        standings: dict[str, Standing | None] = {}
        for name, cell in self._running.items():
            standings[name] = where = standing(self._store, cell)
            if isinstance(cell, Training) and where is not None:
                self._left.saw(cell, where)
        running = [
            Running(
                title=cell.title,
                standing=standings[name],
                seconds_left=self._left.seconds(cell, standings[name]),
            )
            for name, cell in self._running.items()
        ]
        waiting = [self._left.seconds(cell, None) for cell in self._waiting]
        known = [each.seconds_left for each in running] + waiting
        left = None
        if all(seconds is not None for seconds in known):
            workers = self._at_once or len(self._running) + max(0, self._workers.free())
            left = makespan([seconds for seconds in known if seconds is not None], workers)
        done = len(self.progress.done) + len(self.progress.failed)
        # Of what a cluster was handed a part waits there.
        running.sort(key=lambda each: each.standing is None or not each.standing.epochs_done)
        self._display.update(running[: self._at_once], done, left)
