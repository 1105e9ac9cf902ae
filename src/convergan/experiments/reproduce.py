"""The command `convergan reproduce`: computes the missing cells of a table and writes it."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count as count_from
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from convergan.errors import UserError, first_of, printable
from convergan.experiments.adopt import adopt
from convergan.experiments.budget import Choice, choose_cells, lines_of
from convergan.experiments.cells import Cell, Ensemble, Scoring, Training
from convergan.experiments.display import Display
from convergan.experiments.grid import grids_of
from convergan.experiments.images import fingerprints_of, require_same_images
from convergan.experiments.outputs import csv_of, markdown_of, print_grid, provenance_of
from convergan.experiments.plan import Missing, Plan
from convergan.experiments.store import Store
from convergan.experiments.summary import Summary, result_line, summaries
from convergan.experiments.supervise import CallProgress, Supervisor
from convergan.experiments.watch import CellDurations, makespan, pace, standing
from convergan.experiments.work import timing_job
from convergan.experiments.workers import Processes, Workers
from convergan.files import make_folder, write_text
from convergan.page.words import approximate_duration

if TYPE_CHECKING:
    from convergan.experiments.human import Study

SECONDS_PER_HOUR = 3600.0

_MOST_TIMED = 16
"""Largest number of cells whose steps are timed at the same time: on a cluster, more have no more
neighbours on their nodes."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Workers, threads and limits with which cells are computed."""

    workers: int
    """Number of processes on this machine."""

    threads: int
    """Number of threads of each process."""

    cluster: str | None = None
    """Address of a Ray cluster to use instead of processes."""

    budget_hours: float | None = None
    checkpoint_every_seconds: float = 30.0
    weights: Path | None = None
    """File of the Inception network's weights."""

    def open(self) -> Workers:
        """Start the workers."""
        if self.cluster is not None:
            from convergan.experiments.cluster import RayWorkers

            return RayWorkers(self.cluster)
        return Processes(self.workers, gpus_here())


def gpus_here() -> list[str]:
    """The GPUs of this machine that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    if visible is None:
        return [str(number) for number in range(count)]
    return [name for name in visible.split(",") if name][:count]


def cores_here() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def reproduce(
    plan: Plan,
    store: Store,
    resources: Resources,
    console: Console,
    *,
    dry_run: bool = False,
    study: Path | None = None,
    adopted: Sequence[Path] = (),
) -> CallProgress:
    """Compute the cells that a table lacks, print the table and write its files.

    Args:
        plan: the table.
        store: the store of its cells, which also gets its files.
        resources: workers, threads and limits.
        console: console for progress and table.
        dry_run: only estimate the time that the missing cells would take.
        study: the JSON of a study's report, to compare with Inception scores.
        adopted: folders of runs that count as the cells whose settings they have.

    Returns:
        The outcome of the cells of this call.

    Raises:
        UserError: finished cells used other images, there is no such cluster, or the file is not a study's
            report.
    """
    judged = None
    if study is not None:
        from convergan.experiments.human import read_study

        judged = read_study(study)
    cells = plan.cells()
    images = fingerprints_of(cells, console)
    require_same_images(images, cells, store)
    for line in adopt(plan, store, adopted, images):
        _say(console, line)
    missing = plan.missing(store)
    open_or_damaged = missing.cells.keys() | store.problems.keys()
    done = sum(cell.name not in open_or_damaged for cell in cells)
    _say(
        console,
        f"{plan.table.title}: {done} of {len(cells)} cells are done, {len(missing.cells)} are to be computed,"
        f" in {store.folder}",
    )
    progress = CallProgress()
    if missing.cells:
        with closing(resources.open()) as workers:
            progress = _compute(plan, store, missing, resources, workers, console, dry_run=dry_run)
    _keep_all(plan, store, console)
    progress.failed = {**store.problems, **progress.failed}
    numbers = summaries(plan, store, progress.failed)
    _write(plan, store, numbers, console)
    if judged is not None:
        _compare_with_people(numbers, judged, store, console)
    return progress


def _keep_all(plan: Plan, store: Store, console: Console) -> None:
    """Keep the results of all finished cells; report those that cannot be kept."""
    for cell in plan.cells():
        if store.outcome(cell) is not None:
            try:
                store.keep(plan.table.name, cell)
            except UserError as error:
                _say(console, f"not kept: {error}")


def _compute(
    plan: Plan,
    store: Store,
    missing: Missing,
    resources: Resources,
    workers: Workers,
    console: Console,
    *,
    dry_run: bool,
) -> CallProgress:
    start = time.monotonic()
    at_once = workers.slots(resources.threads)
    cells = list(missing.cells.values())
    left = CellDurations()
    _observe(left, plan, store)
    is_planned = resources.budget_hours is not None or dry_run
    if is_planned:
        _time(left, store, workers, cells, console, at_once)
    deadline = None
    if resources.budget_hours is not None:
        budget = resources.budget_hours * SECONDS_PER_HOUR
        choice = _choice(plan, store, missing, left, budget, at_once)
        cells, deadline = choice.cells, start + budget
        for line in lines_of(choice, budget):
            _say(console, line)
    durations = [left.seconds(cell, standing(store, cell)) for cell in cells]
    if is_planned:
        _say(console, _duration_in_words(cells, durations, at_once))
    if dry_run:
        _say(console, "nothing was computed (--dry-run)")
        return CallProgress()

    def finished(cell: Cell) -> None:
        outcome = store.outcome(cell)
        store.keep(plan.table.name, cell)
        if outcome is not None:
            display.tell(result_line(cell, outcome, plan.table.unit))

    with Display(console, len(cells)) as display:
        supervisor = Supervisor(
            store,
            workers,
            display,
            left,
            at_once=at_once,
            deadline=deadline,
            checkpoint_every_seconds=resources.checkpoint_every_seconds,
            weights=resources.weights,
            on_done=finished,
        )
        return supervisor.run(cells)


def _observe(left: CellDurations, plan: Plan, store: Store) -> None:
    """Add the speed of all trainings whose metrics are in their own folders, unfinished ones last.

    Adopted runs, whose folders are links, may be from other machines.
    """
    cells = [cell for cell in plan.cells() if isinstance(cell, Training)]
    for cell in sorted(cells, key=lambda cell: store.outcome(cell) is None):
        current = standing(store, cell)
        if current is not None and not store.cell_folder(cell).is_symlink():
            left.observe(cell, current)


def _duration_in_words(
    cells: Sequence[Cell], durations: Sequence[float | None], at_once: int
) -> str:
    """The time that cells will take together, and those of which it is unknown."""
    known_durations = [duration for duration in durations if duration is not None]
    unknown = [
        cell.title for cell, seconds in zip(cells, durations, strict=True) if seconds is None
    ]
    line = f"{len(cells)} cells, {at_once} at a time, will take"
    if any(known_durations) or not unknown:
        line += f" about {approximate_duration(makespan(known_durations, at_once))}"
        line += f", and {len(unknown)} of them an unknown time" if unknown else ""
    else:
        line += " an unknown time"
    return line + (f": {first_of(unknown)}" if unknown else "")


def _time(
    left: CellDurations,
    store: Store,
    workers: Workers,
    cells: Sequence[Cell],
    console: Console,
    at_once: int,
) -> None:
    """Let workers time a few steps of each recipe, and a few images of the scores, of unknown duration.

    Where that fails, a cell of the recipe with another number of labels is timed instead; reports what cannot
    be timed at all. As many are timed at the same time as will be computed at the same time, since neighbours
    slow each other down; the slowest of each pace counts.
    """
    unknown = [
        cell
        for cell in cells
        if not isinstance(cell, Ensemble) and left.seconds(cell, standing(store, cell)) is None
    ]
    by_labels = {(pace(cell), cell.recipe.labels): cell for cell in reversed(unknown)}
    candidates: dict[str, list[Training | Scoring]] = {}
    for (name, _), cell in reversed(by_labels.items()):
        candidates.setdefault(name, []).append(cell)
    if candidates:
        _say(console, f"timing a few steps or images of {', '.join(candidates)}")
    count = max(len(candidates), min(at_once, len(unknown), _MOST_TIMED))
    waiting = [cells[0] for cells in islice(cycle(candidates.values()), count)]
    running: dict[str, Training | Scoring] = {}
    slowest: dict[str, float] = {}
    numbers = count_from(0)
    while waiting or running:
        while waiting and workers.free() > 0:
            cell = waiting.pop()
            name = pace(cell).replace(" ", "-")
            log = store.folder / "logs" / f"{name}.log"
            job = timing_job(cell, f"time-{name}-{next(numbers)}", log)
            running[job.name] = cell
            workers.begin(job)
        for ended in workers.ended(1.0):
            cell, answer = running.pop(ended.job.name), ended.answer
            name = pace(cell)
            if answer is None or answer.value is None:
                # Several workers time the same cell.
                if candidates[name][:1] == [cell]:
                    candidates[name].pop(0)
                    if not candidates[name] and name not in slowest:
                        error = ended.death if answer is None else answer.error
                        _say(console, f"{name}: could not be timed: {error}")
                waiting += candidates[name][:1]
            else:
                slowest[name] = max(answer.value, slowest.get(name, 0.0))
                left.add_timing(cell, slowest[name])


def _choice(
    plan: Plan, store: Store, missing: Missing, left: CellDurations, budget: float, at_once: int
) -> Choice:
    def seconds(cell: Training | Scoring) -> float | None:
        return left.seconds(cell, standing(store, cell))

    return choose_cells(plan, missing, seconds, budget_seconds=budget, workers=at_once)


def _compare_with_people(
    numbers: Sequence[Summary], study: "Study", store: Store, console: Console
) -> None:
    from convergan.experiments.human import agreement, write_scatter

    judged = agreement(numbers, study)
    _say(console, judged.in_words)
    place = store.folder / "human.svg"
    write_scatter(place, judged)
    _say(console, f"wrote {place}")


def _write(plan: Plan, store: Store, numbers: Sequence[Summary], console: Console) -> None:
    """Print the table, and write its files into the folder of the experiment."""
    # Figures take long to load.
    from convergan.experiments.figure import write_error_bars

    grids = grids_of(plan, numbers)
    for grid in grids:
        print_grid(grid, console)
    make_folder(store.folder)
    name = plan.table.name
    files = [store.folder / f"{name}.{kind}" for kind in ("md", "csv")]
    tables = "\n".join(map(markdown_of, grids))
    write_text(files[0], f"{tables}\n{provenance_of(numbers)}")
    write_text(files[1], csv_of(plan, numbers))
    if plan.table.unit == "samples":
        files += _copy_samples(numbers, store)
    else:
        files.append(store.folder / f"{name}.svg")
        write_error_bars(files[-1], plan, numbers)
    _say(console, f"wrote {', '.join(map(str, files))}")


def _copy_samples(numbers: Sequence[Summary], store: Store) -> list[Path]:
    """Copy the last samples of each finished run; return the copies."""
    copies = []
    for summary in numbers:
        for cell in summary.entry.cells:
            if cell.draw in summary.samples:
                place = store.folder / "figures" / f"{cell.name}.png"
                make_folder(place.parent)
                copies.append(Path(shutil.copyfile(summary.samples[cell.draw], place)))
    return copies


def _say(console: Console, text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
