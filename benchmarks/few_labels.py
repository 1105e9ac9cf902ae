"""Claim: with few labels and the same minutes, convergan by default errs little more than the best rival.

    python benchmarks/few_labels.py --mnist DIR --cifar10 DIR [--minutes 2] [--threads 2] [--draws 3]
        [--rows ROW ...] [--methods METHOD ...] [--full] [--table]

Every method has the same minutes of as many threads, the same images and labels, and is tested on the same
images; one that is done earlier is not given more. Trained and tested are: `LabelSpreading` and
`SelfTrainingClassifier` of scikit-learn, HOG and colour with an SVM, a small network with augmentation (for
35 seconds, and for all minutes), the same with consistency, a frozen network that has seen ImageNet,
convergan by default, and, where the default has a baseline, convergan without one. A draw decides which
images there are and which of them are labelled; no draw has chosen anything in convergan.

Each cell is written to RUNS when it is done, so that the same command goes on where one was interrupted, and
rows or methods can be had one at a time. `--table` runs nothing. Where others use the machine, `--clock cpu`
gives the peers CPU seconds; convergan plans its steps from what one takes, and its CPU seconds are beside.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from convergan.files import cache_folder
from convergan.json_files import read_json
from convergan.recipes.presets import PRESETS
from harness import BENCHMARKS
from harness.cells import OF_CONVERGAN, Cell, Cells, add_options, timed, train
from harness.few_labels.data import MORE_TASKS, TASKS, Task, write_folder
from harness.few_labels.peer_cell import METHODS
from harness.rows import row, write_rows

OURS, WITH_IMAGENET = "convergan", "frozen"

ALONE = "convergan-alone"
"""convergan without the baseline, and without the trainings that choose between the two: `--no-baseline`."""
MARGIN = 1.0
"""Points by which our mean error may lie above the best rival's."""

_OF_PEERS = [
    BENCHMARKS / "harness" / f"{name}.py"
    for name in (
        "few_labels/budget", "few_labels/data", "few_labels/peer_cell",
        "peers/classic", "peers/frozen", "peers/small_cnn", "peers/views",
    )
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and with what."""

    tasks: dict[str, Task]
    methods: list[str]
    draws: int
    minutes: float
    threads: int
    clock: str
    mnist: Path | None
    cifar10: Path | None
    folders: Path
    runs: Path

    def cell(self, name: str, method: str, draw: int) -> Cell:
        """The cell of a row, a method and a draw."""
        settings: dict[str, Any] = {
            "minutes": self.minutes, "threads": self.threads, "task": asdict(self.tasks[name]),
        }  # fmt: skip
        ours = method in (OURS, ALONE)
        if not ours:
            settings["clock"] = self.clock
        code = OF_CONVERGAN if ours else _OF_PEERS
        return Cell((name, method, str(draw)), settings, code)

    def cells(self) -> Iterator[Cell]:
        """All of them, draw by draw: what is broken off has rows that can be compared."""
        for draw in range(self.draws):
            for name in self.tasks:
                for method in self.methods:
                    if method == ALONE and not PRESETS[self.tasks[name].recipe].baseline:
                        continue
                    yield self.cell(name, method, draw)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Trains and tests one cell."""
        name, method, draw = cell.names[0], cell.names[1], int(cell.names[2])
        task = self.tasks[name]
        folder = self.folders / f"{name}-{draw}"
        if task.source == "folder":
            if self.cifar10 is None:
                raise SystemExit(f"--cifar10: expected a folder with parquet files, for {name}")
            write_folder(task, draw, self.cifar10, folder)
        out = self.runs / "runs" / cell.name
        if method in (OURS, ALONE):
            more = ["--no-baseline"] if method == ALONE else []
            results = train(
                [
                    *_words(task, self.mnist, folder),
                    "--seed",
                    draw,
                    "--minutes",
                    self.minutes,
                    *more,
                ],
                out,
                threads=self.threads,
            )
            wanted = (
                "test_errors", "test_size", "wall_seconds", "cpu_seconds", "train_seconds", "device",
                "precision", "arms", "baseline_test_errors", "decision",
            )  # fmt: skip
            return {each: results.get(each) for each in wanted}
        to = out.with_suffix(".json")
        words = [
            sys.executable, "-m", "harness.few_labels.peer_cell", name, method, draw, "--to", to,
            "--seconds", 60 * self.minutes, "--threads", self.threads, "--clock", self.clock,
            "--folder", folder, *(["--mnist", self.mnist] if self.mnist else []),
        ]  # fmt: skip
        spent = timed(words, out.with_suffix(".log"), threads=self.threads)
        return {**read_json(to), **spent}


def _words(task: Task, mnist: Path | None, folder: Path) -> list[object]:
    """What a user types after `convergan train` for such images."""
    if task.source == "folder":
        return [task.recipe, "--data.path", folder]
    path: list[object] = ["--data.path", mnist] if task.source == "mnist" and mnist else []
    return [task.recipe, *path, "--labels", task.labels]


@dataclass(frozen=True)
class Summary:
    """A method's draws in one row."""

    error_rates: dict[int, float]
    """In percent, by draw."""
    cells: list[dict[str, Any]]

    @property
    def mean(self) -> float:
        """Mean error in percent."""
        return mean(self.error_rates.values())

    @property
    def stdev(self) -> float | None:
        """Deviation over the draws; None of one."""
        return stdev(self.error_rates.values()) if len(self.error_rates) > 1 else None

    def median_of(self, name: str) -> float:
        """The median of a number of the cells."""
        values = sorted(float(cell[name]) for cell in self.cells)
        return values[len(values) // 2]


def summaries(plan: Plan, cells: Cells) -> dict[str, dict[str, Summary]]:
    """What has been measured, by row and method: of methods that have any draw."""
    found: dict[str, dict[str, Summary]] = {}
    for name in plan.tasks:
        for method in plan.methods:
            of_draws = {
                draw: cells.found(plan.cell(name, method, draw)) for draw in range(plan.draws)
            }
            done = {draw: cell for draw, cell in of_draws.items() if cell is not None}
            if done:
                found.setdefault(name, {})[method] = Summary(
                    {
                        draw: 100 * cell["test_errors"] / cell["test_size"]
                        for draw, cell in done.items()
                    },
                    list(done.values()),
                )
    return found


@dataclass(frozen=True)
class Standing:
    """How ours stands in a row among those that have not seen ImageNet."""

    rank: int
    best_rival: str
    points: float
    """Our mean error less the best rival's, in points."""

    @property
    def holds(self) -> bool:
        """Whether ours is within the margin."""
        return self.points <= MARGIN


def standing(of_row: dict[str, Summary]) -> Standing | None:
    """None where ours or every rival is missing."""
    rivals = {name: of_row[name] for name in of_row if name not in (OURS, ALONE, WITH_IMAGENET)}
    if OURS not in of_row or not rivals:
        return None
    ours = of_row[OURS].mean
    best = min(rivals, key=lambda name: rivals[name].mean)
    better = sum(rival.mean < ours for rival in rivals.values())
    return Standing(1 + better, best, ours - rivals[best].mean)


def print_table(plan: Plan, found: dict[str, dict[str, Summary]], console: Console) -> None:
    """A line a method, a column a row; the best of those without ImageNet is marked."""
    table = Table(box=None, pad_edge=False)
    table.add_column("errors, % (CPU seconds)")
    for name in found:
        table.add_column(name, justify="right")
    best = {
        name: min(
            (of_row[each].mean for each in of_row if each not in (ALONE, WITH_IMAGENET)),
            default=float("nan"),
        )
        for name, of_row in found.items()
    }
    for method in plan.methods:
        shown = []
        for name, of_row in found.items():
            if method not in of_row:
                shown.append("-")
                continue
            each = of_row[method]
            text = f"{each.mean:.2f}" + ("" if each.stdev is None else f" ± {each.stdev:.2f}")
            seconds = f" ({each.median_of('cpu_seconds'):.0f})"
            wins = method not in (ALONE, WITH_IMAGENET) and each.mean == best[name]
            shown.append((f"[bold]{text} *[/bold]" if wins else text) + seconds)
        table.add_row(method, *shown)
    console.print(
        f"\n{plan.minutes:g} minutes, {plan.threads} threads, up to {plan.draws} draws; * the best"
        f" but for {WITH_IMAGENET}, which has seen ImageNet"
    )
    console.print(table)
    stands = {name: standing(of_row) for name, of_row in found.items()}
    placed = {name: each for name, each in stands.items() if each is not None}
    for name, each in placed.items():
        console.print(
            f"{name}: {OURS} is number {each.rank}, {each.points:+.2f} points from {each.best_rival}:"
            f" {'within' if each.holds else 'NOT within'} {MARGIN:g} point"
        )
    if placed:
        console.print(
            f"within {MARGIN:g} point in {sum(each.holds for each in placed.values())} of"
            f" {len(placed)} rows, first in {sum(each.rank == 1 for each in placed.values())}"
        )


def result_rows(plan: Plan, found: dict[str, dict[str, Summary]]) -> list[dict[str, Any]]:
    """One of each row and rival, over the draws that both have."""
    written = []
    for name, of_row in found.items():
        stands = standing(of_row)
        for method in [each for each in of_row if each != OURS and OURS in of_row]:
            ours, peer = of_row[OURS], of_row[method]
            draws = sorted(ours.error_rates.keys() & peer.error_rates.keys())
            if not draws or stands is None:
                continue
            sides = {
                side: [each.error_rates[draw] for draw in draws]
                for side, each in (("ours", ours), ("peer", peer))
            }
            written.append(
                row(
                    claim=f"mean error at most the best rival's + {MARGIN:g} point, {plan.minutes:g} minutes",
                    setting=plan.tasks[name].setting,
                    device=ours.cells[0]["device"],
                    precision=ours.cells[0]["precision"],
                    ours=mean(sides["ours"]),
                    peer=mean(sides["peer"]),
                    peer_name=method,
                    unit="% test errors",
                    repeats=len(draws),
                    draws=draws,
                    ours_by_draw=sides["ours"],
                    peer_by_draw=sides["peer"],
                    ours_cpu_seconds=round(ours.median_of("cpu_seconds"), 1),
                    peer_cpu_seconds=round(peer.median_of("cpu_seconds"), 1),
                    ours_seconds=round(ours.median_of("wall_seconds"), 1),
                    peer_seconds=round(peer.median_of("wall_seconds"), 1),
                    peer_has_seen_imagenet=method == WITH_IMAGENET,
                    peer_clock=plan.clock,
                    rank=stands.rank,
                    best_rival=stands.best_rival,
                    points_above_best_rival=stands.points,
                    within_margin=stands.holds,
                    trained_at_commits=sorted(
                        {str(cell["git_commit"]) for cell in [*ours.cells, *peer.cells]}
                    ),
                )
            )
    return written


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, Path("runs/benchmarks/few-labels"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=[*TASKS, *MORE_TASKS])
    parser.add_argument(
        "--methods", nargs="+", choices=[*METHODS, OURS, ALONE], default=[*METHODS, OURS, ALONE]
    )
    parser.add_argument("--full", action="store_true", help="also " + " and ".join(MORE_TASKS))
    arguments = parser.parse_args()
    tasks = {**TASKS, **MORE_TASKS}
    names = arguments.rows or ([*tasks] if arguments.full else [*TASKS])
    plan = Plan(
        tasks={name: tasks[name] for name in names},
        methods=arguments.methods,
        draws=arguments.draws,
        minutes=arguments.minutes,
        threads=arguments.threads,
        clock=arguments.clock,
        mnist=arguments.mnist,
        cifar10=arguments.cifar10,
        folders=(arguments.folders or cache_folder() / "benchmarks").resolve(),
        runs=arguments.runs.resolve(),
    )
    cells = Cells(plan.runs / "cells", any_code=arguments.any_code)
    failed = 0 if arguments.table else cells.run(plan.cells(), plan.measure)
    found = summaries(plan, cells)
    print_table(plan, found, Console())
    if written := result_rows(plan, found):
        print(write_rows(f"few-labels-{plan.minutes:g}-minutes", written))
    if failed:
        raise SystemExit(f"{failed} cells failed")


if __name__ == "__main__":
    main()
