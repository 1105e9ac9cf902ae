"""`convergan reproduce`: a table from what is there, what is missing computed first."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from convergan.errors import UserError, printable
from convergan.experiments.adopt import adopt
from convergan.experiments.budget import Choice, chosen, lines_of, recipes_to_time
from convergan.experiments.cells import Cell, Training
from convergan.experiments.display import Display
from convergan.experiments.grid import grid_of
from convergan.experiments.outputs import csv_of, markdown_of, print_grid, provenance_of
from convergan.experiments.plan import Missing, Plan
from convergan.experiments.store import Store
from convergan.experiments.summary import Summary, summaries, told
from convergan.experiments.supervise import Progress, Supervisor
from convergan.experiments.watch import TimeLeft, makespan, standing
from convergan.experiments.work import timing_job
from convergan.experiments.workers import Processes, Workers
from convergan.files import make_folder, write_text
from convergan.page.words import approximate_duration
from convergan.runs.folder import RunFolder

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Means:
    """What cells are computed with."""

    workers: int
    """Processes on this machine."""

    threads: int
    """Threads of each."""

    cluster: str | None = None
    """Address of a Ray cluster, in place of processes."""

    budget_hours: float | None = None
    checkpoint_every_seconds: float = 30.0
    weights: Path | None = None
    """File of the Inception network's weights."""

    def open(self) -> Workers:
        """Starts the workers."""
        if self.cluster is not None:
            from convergan.experiments.cluster import RayWorkers

            return RayWorkers(self.cluster)
        return Processes(self.workers, gpus_here())

    def at_once(self, workers: Workers) -> int:
        """How many trainings these workers do at the same time."""
        slots = getattr(workers, "slots", None)
        return self.workers if slots is None else int(slots(self.threads))


def gpus_here() -> list[str]:
    """The GPUs of this machine that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    if visible is None:
        return [str(number) for number in range(count)]
    return [name for name in visible.split(",") if name][:count]


def cores_here() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def reproduce(
    plan: Plan,
    store: Store,
    means: Means,
    console: Console,
    *,
    dry_run: bool = False,
    study: Path | None = None,
    adopted: Sequence[Path] = (),
) -> Progress:
    """Computes the cells that a table lacks, prints the table and writes its files.

    Args:
        plan: the table.
        store: where its cells are; its files go there as well.
        means: what computes them.
        console: where progress and table are shown.
        dry_run: compute nothing but the time that it would take.
        study: the JSON of a study's report, to hold Inception scores against.
        adopted: folders of runs that count as the cells whose settings they have.

    Returns:
        What became of the cells.

    Raises:
        UserError: what a cell came to is damaged, or there is no such cluster.
    """
    for cell, folder in adopt(plan, store, adopted):
        _say(console, f"{cell.title}: adopted from {folder}")
    missing = plan.missing(store)
    everything = len(plan.cells())
    _say(
        console,
        f"{plan.table.title}: {everything - len(missing.cells)} of {everything} cells are done,"
        f" {len(missing.cells)} to be computed, in {store.folder}",
    )
    progress = Progress()
    if missing.cells:
        with closing(means.open()) as workers:
            progress = _compute(plan, store, missing, means, workers, console, dry_run=dry_run)
    for cell in plan.cells():
        store.keep(plan.table.name, cell)
    found = summaries(plan, store, progress.failed)
    _write(plan, store, found, console)
    if study is not None:
        _compare_with_people(found, study, store, console)
    return progress


def _compute(
    plan: Plan,
    store: Store,
    missing: Missing,
    means: Means,
    workers: Workers,
    console: Console,
    *,
    dry_run: bool,
) -> Progress:
    start = time.monotonic()
    at_once = means.at_once(workers)
    timed: dict[str, float] = {}
    cells = list(missing.cells.values())
    if means.budget_hours is not None or dry_run:
        timed = _timed(store, workers, cells, console)
    left = TimeLeft(timed)
    deadline = None
    if means.budget_hours is not None:
        budget = means.budget_hours * SECONDS_PER_HOUR
        choice = _choice(plan, store, missing, left, budget, at_once)
        cells, deadline = choice.cells, start + budget
        for line in lines_of(choice, budget):
            _say(console, line)
    known = [left.seconds(cell, standing(store, cell)) for cell in cells]
    if timed:
        seconds = makespan([each or 0.0 for each in known], at_once)
        _say(
            console,
            f"{len(cells)} cells, {at_once} at a time, will take about"
            f" {approximate_duration(seconds)}",
        )
    if dry_run:
        _say(console, "nothing was computed (--dry-run)")
        return Progress()

    def finished(cell: Cell) -> None:
        outcome = store.found(cell)
        store.keep(plan.table.name, cell)
        if outcome is not None:
            display.tell(told(cell, outcome, plan.table.unit))

    with Display(console, len(cells)) as display:
        supervisor = Supervisor(
            store,
            workers,
            display,
            left,
            at_once=at_once,
            deadline=deadline,
            checkpoint_every_seconds=means.checkpoint_every_seconds,
            weights=means.weights,
            told=finished,
        )
        return supervisor.run(cells)


def _timed(
    store: Store, workers: Workers, cells: Sequence[Cell], console: Console
) -> dict[str, float]:
    """The expected duration of a training of each recipe, in seconds, from steps that workers time."""
    found: dict[str, float] = {}
    waiting = recipes_to_time(cells)
    _say(console, f"timing a few steps of {', '.join(waiting)}")
    running: dict[str, str] = {}
    while waiting or running:
        while waiting and workers.free() > 0:
            name, training = next(iter(waiting.items()))
            del waiting[name]
            job = timing_job(training.recipe, f"time-{name}", store.folder / "logs" / f"{name}.log")
            running[job.name] = name
            workers.begin(job)
        for ended in workers.ended(1.0):
            name, answer = running.pop(ended.job.name), ended.answer
            if answer is None or answer.value is None:
                error = ended.death if answer is None else answer.error
                raise UserError(f"{name}: expected to time a few steps, got {error}")
            found[name] = answer.value
    return found


def _choice(
    plan: Plan, store: Store, missing: Missing, left: TimeLeft, budget: float, at_once: int
) -> Choice:
    def seconds(cell: Training) -> float:
        return left.seconds(cell, standing(store, cell)) or 0.0

    return chosen(plan, missing, seconds, budget_seconds=budget, workers=at_once)


def _compare_with_people(
    found: Sequence[Summary], study: Path, store: Store, console: Console
) -> None:
    from convergan.experiments.human import agreement, write_scatter

    judged = agreement(found, study)
    _say(console, judged.in_words)
    place = store.folder / "human.svg"
    write_scatter(place, judged)
    _say(console, f"wrote {place}")


def _write(plan: Plan, store: Store, found: Sequence[Summary], console: Console) -> None:
    """Prints the table, and writes its files into the folder of the experiment."""
    # Figures take long to load.
    from convergan.experiments.figure import write_error_bars

    grid = grid_of(plan, found)
    print_grid(grid, console)
    make_folder(store.folder)
    name = plan.table.name
    files = [store.folder / f"{name}.{kind}" for kind in ("md", "csv")]
    write_text(files[0], f"{markdown_of(grid)}\n{provenance_of(found)}")
    write_text(files[1], csv_of(plan, found))
    if plan.table.unit == "samples":
        files += _copy_samples(plan, store)
    else:
        files.append(store.folder / f"{name}.svg")
        write_error_bars(files[-1], plan, found)
    _say(console, f"wrote {', '.join(map(str, files))}")


def _copy_samples(plan: Plan, store: Store) -> list[Path]:
    """Copies the last samples of each finished run; gives the copies."""
    copies = []
    for entry in plan.entries:
        for cell in entry.cells:
            samples = RunFolder(store.cell_folder(cell)).samples
            if store.found(cell) is None or not samples.is_dir():
                continue
            last = max(samples.glob("*.png"), default=None)
            if last is not None:
                place = store.folder / "figures" / f"{cell.name}.png"
                make_folder(place.parent)
                copies.append(Path(shutil.copyfile(last, place)))
    return copies


def _say(console: Console, text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
