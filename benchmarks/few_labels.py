"""Claim: with few labels and the same minutes, convergan by default is within a point of the best rival.

    python benchmarks/few_labels.py --mnist DIR --cifar10 DIR [--minutes 2] [--threads 2] [--draws 3]
        [--rows ROW ...] [--methods METHOD ...] [--table]

All methods have the same minutes of the same number of threads, the same images and labels, and the same
test images. A method that finishes early gets no more time. The methods are: `LabelSpreading` and
`SelfTrainingClassifier` of scikit-learn; HOG and colour with an SVM; a small network with augmentation, for
35 seconds and for all minutes; the same with consistency; a frozen network that has seen ImageNet;
convergan by default; and, where the default has a baseline, convergan without one. A draw decides which
images there are and which of them are labelled. No draw has chosen any setting of convergan.

Each cell is written to RUNS when it is done; the same command continues where one was interrupted, and rows
or methods can be run one at a time. `--table` runs nothing. On a machine that others use, `--clock cpu`
gives the peers CPU seconds; convergan plans its steps from the time of one, and its CPU seconds are shown.
"""

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
from harness.cells import CONVERGAN_CODE, Cell, Cells, add_options, timed, train
from harness.command_line import command_parser
from harness.few_labels.data import DEFAULT_TASKS, TASKS, Task, write_folder
from harness.few_labels.peer_cell import METHODS
from harness.rows import row, write_rows

CONVERGAN, WITH_IMAGENET = "convergan", "frozen"

ALONE = "convergan-alone"
"""convergan without the baseline, and without the trainings that choose between the two: `--no-baseline`."""
MARGIN = 1.0
"""Points by which our mean error may lie above the best rival's."""

PEER_CODE = [
    BENCHMARKS / "harness" / f"{name}.py"
    for name in (
        "few_labels/budget", "few_labels/data", "few_labels/peer_cell",
        "peers/classic", "peers/frozen", "peers/small_cnn", "peers/views",
    )
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Measurements of a call, their data and their settings."""

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
        is_convergan = method in (CONVERGAN, ALONE)
        if not is_convergan:
            settings["clock"] = self.clock
        code = CONVERGAN_CODE if is_convergan else PEER_CODE
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
        """Train and test one cell."""
        name, method, draw = cell.names[0], cell.names[1], int(cell.names[2])
        task = self.tasks[name]
        folder = self.folders / f"{name}-{draw}"
        if task.source == "folder":
            write_folder(task, draw, self.cifar10, folder)
        out = self.runs / "runs" / cell.name
        if method in (CONVERGAN, ALONE):
            options = ["--no-baseline"] if method == ALONE else []
            results = train(
                [
                    *_words(task, self.mnist, folder),
                    "--seed",
                    draw,
                    "--minutes",
                    self.minutes,
                    *options,
                ],
                out,
                threads=self.threads,
            )
            keys = (
                "test_errors", "test_size", "wall_seconds", "cpu_seconds", "train_seconds", "device",
                "precision", "arms", "baseline_test_errors", "decision",
            )  # fmt: skip
            return {key: results.get(key) for key in keys}
        results_file = out.with_suffix(".json")
        words = [
            sys.executable, "-m", "harness.few_labels.peer_cell", name, method, draw, "--to", results_file,
            "--seconds", 60 * self.minutes, "--threads", self.threads, "--clock", self.clock,
            "--folder", folder, *(["--mnist", self.mnist] if self.mnist else []),
        ]  # fmt: skip
        usage = timed(words, out.with_suffix(".log"), threads=self.threads)
        return {**read_json(results_file), **usage}


def _words(task: Task, mnist: Path | None, folder: Path) -> list[object]:
    """Words that a user types after `convergan train` for such images."""
    if task.source == "folder":
        return [task.recipe, "--data.path", folder]
    path: list[object] = ["--data.path", mnist] if task.source == "mnist" and mnist else []
    return [task.recipe, *path, "--labels", task.labels]


@dataclass(frozen=True)
class Summary:
    """A method's draws in one row."""

    error_rates: dict[int, float]
    """Error rates in percent, by draw."""
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
    """Finished measurements by row and method, without methods that have none."""
    by_row: dict[str, dict[str, Summary]] = {}
    for name in plan.tasks:
        for method in plan.methods:
            by_draw = {
                draw: cells.load(plan.cell(name, method, draw)) for draw in range(plan.draws)
            }
            done = {draw: cell for draw, cell in by_draw.items() if cell is not None}
            if done:
                by_row.setdefault(name, {})[method] = Summary(
                    {
                        draw: 100 * cell["test_errors"] / cell["test_size"]
                        for draw, cell in done.items()
                    },
                    list(done.values()),
                )
    return by_row


@dataclass(frozen=True)
class Standing:
    """Rank of convergan in a row, among the methods that have not seen ImageNet."""

    rank: int
    best_rival: str
    points: float
    """Difference of the mean error of convergan from the best rival's, in points."""

    @property
    def holds(self) -> bool:
        """True if the mean error of convergan is within the margin."""
        return self.points <= MARGIN


def standing(by_method: dict[str, Summary]) -> Standing | None:
    """The rank of convergan; None if convergan or every rival is missing."""
    rivals = {
        name: by_method[name] for name in by_method if name not in (CONVERGAN, ALONE, WITH_IMAGENET)
    }
    if CONVERGAN not in by_method or not rivals:
        return None
    own_error = by_method[CONVERGAN].mean
    best = min(rivals, key=lambda name: rivals[name].mean)
    better = sum(rival.mean < own_error for rival in rivals.values())
    return Standing(1 + better, best, own_error - rivals[best].mean)


def print_table(plan: Plan, by_row: dict[str, dict[str, Summary]], console: Console) -> None:
    """A line a method, a column a row; the best of those without ImageNet is marked."""
    table = Table(box=None, pad_edge=False)
    table.add_column("errors, % (CPU seconds)")
    for name in by_row:
        table.add_column(name, justify="right")
    best = {
        name: min(
            (
                summary.mean
                for method, summary in by_method.items()
                if method not in (ALONE, WITH_IMAGENET)
            ),
            default=float("nan"),
        )
        for name, by_method in by_row.items()
    }
    for method in plan.methods:
        texts = []
        for name, by_method in by_row.items():
            if method not in by_method:
                texts.append("-")
                continue
            summary = by_method[method]
            spread = "" if summary.stdev is None else f" ± {summary.stdev:.2f}"
            text = f"{summary.mean:.2f}{spread}"
            seconds = f" ({summary.median_of('cpu_seconds'):.0f})"
            wins = method not in (ALONE, WITH_IMAGENET) and summary.mean == best[name]
            texts.append((f"[bold]{text} *[/bold]" if wins else text) + seconds)
        table.add_row(method, *texts)
    console.print(
        f"\n{plan.minutes:g} minutes, {plan.threads} threads, up to {plan.draws} draws; * the best"
        f" but for {WITH_IMAGENET}, which has seen ImageNet"
    )
    console.print(table)
    standings = {name: standing(by_method) for name, by_method in by_row.items()}
    placed = {name: place for name, place in standings.items() if place is not None}
    for name, place in placed.items():
        console.print(
            f"{name}: {CONVERGAN} is number {place.rank}, {place.points:+.2f} points from {place.best_rival}:"
            f" {'within' if place.holds else 'NOT within'} {MARGIN:g} point"
        )
    if placed:
        console.print(
            f"within {MARGIN:g} point in {sum(place.holds for place in placed.values())} of"
            f" {len(placed)} rows, first in {sum(place.rank == 1 for place in placed.values())}"
        )


def result_rows(plan: Plan, by_row: dict[str, dict[str, Summary]]) -> list[dict[str, Any]]:
    """A row for each task and rival, over the draws of both."""
    rows = []
    for name, by_method in by_row.items():
        stands = standing(by_method)
        for method in [name for name in by_method if name != CONVERGAN and CONVERGAN in by_method]:
            own_summary, peer_summary = by_method[CONVERGAN], by_method[method]
            draws = sorted(own_summary.error_rates.keys() & peer_summary.error_rates.keys())
            if not draws or stands is None:
                continue
            sides = {
                side: [summary.error_rates[draw] for draw in draws]
                for side, summary in (("ours", own_summary), ("peer", peer_summary))
            }
            rows.append(
                row(
                    claim=f"mean error at most the best rival's + {MARGIN:g} point, {plan.minutes:g} minutes",
                    setting=plan.tasks[name].setting,
                    device=own_summary.cells[0]["device"],
                    precision=own_summary.cells[0]["precision"],
                    ours=mean(sides["ours"]),
                    peer=mean(sides["peer"]),
                    peer_name=method,
                    unit="% test errors",
                    repeats=len(draws),
                    draws=draws,
                    ours_by_draw=sides["ours"],
                    peer_by_draw=sides["peer"],
                    ours_cpu_seconds=round(own_summary.median_of("cpu_seconds"), 1),
                    peer_cpu_seconds=round(peer_summary.median_of("cpu_seconds"), 1),
                    ours_seconds=round(own_summary.median_of("wall_seconds"), 1),
                    peer_seconds=round(peer_summary.median_of("wall_seconds"), 1),
                    peer_has_seen_imagenet=method == WITH_IMAGENET,
                    peer_clock=plan.clock,
                    rank=stands.rank,
                    best_rival=stands.best_rival,
                    points_above_best_rival=stands.points,
                    within_margin=stands.holds,
                    trained_at_commits=sorted(
                        {
                            str(cell["git_commit"])
                            for cell in [*own_summary.cells, *peer_summary.cells]
                        }
                    ),
                )
            )
    return rows


def main() -> None:
    parser = command_parser(__doc__)
    add_options(parser, Path("runs/benchmarks/few-labels"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=TASKS, default=DEFAULT_TASKS)
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS, CONVERGAN, ALONE],
        default=[*METHODS, CONVERGAN, ALONE],
    )
    arguments = parser.parse_args()
    plan = Plan(
        tasks={name: TASKS[name] for name in arguments.rows},
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
    by_row = summaries(plan, cells)
    print_table(plan, by_row, Console())
    if rows := result_rows(plan, by_row):
        print(write_rows(f"few-labels-{plan.minutes:g}-minutes", rows))
    if failed:
        raise SystemExit(f"{failed} cells failed")


if __name__ == "__main__":
    main()
