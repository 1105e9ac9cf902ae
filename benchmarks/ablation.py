"""Gain from each part of a recipe at equal time: the recipe compared with itself with one part changed.

    python benchmarks/ablation.py --mnist DIR --cifar10 DIR [--rows mnist folder-chosen-on] [--draws 2]
        [--cpu-seconds 240] [--threads 1] [--variants NAME ...] [--table] [--any-code]

A variant is a line of VARIANTS: options of `convergan train`, or other networks. All variants have the same
CPU seconds: two short trainings measure the time of a step, from which the number of steps follows. None
has a baseline. Each cell is written to RUNS when it is done; the same command continues where one was
interrupted. These draws choose the settings of recipes. Their errors must not be shown as results: for that
`few_labels` has other draws.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from convergan.files import cache_folder, write_text
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from harness.cells import CONVERGAN_CODE, Cell, Cells, add_options, train
from harness.command_line import command_parser
from harness.few_labels.data import TASKS, folder_of, write_folder
from harness.pilots import step_seconds
from harness.rows import row, write_rows

ROWS = {
    **TASKS,
    # Those on which the settings of `folder` were chosen: in no row of few_labels together.
    "folder-chosen-on": folder_of("automobile", "bird", "deer", "ship"),
}

FIRST_DRAW = 100
"""First draw of the ablation: smaller ones belong to `few_labels`."""

EPOCHS = 4
"""Parts of a training: it is tested after each, which takes time as well."""

AS_IT_IS = "as it is"

Change = Callable[[Recipe], Recipe]


@dataclass(frozen=True)
class Variant:
    """A recipe with one part changed."""

    options: tuple[str, ...] = ()
    change: Change = lambda recipe: recipe
    """Change of the recipe for which there is no option."""


def _with_networks(networks: Any) -> Variant:
    return Variant(change=lambda recipe: replace(recipe, networks=networks))


def _options(line: str) -> Variant:
    return Variant(tuple(line.split()))


_GAN = "--objective.real-or-generated.weight 0.5 --objective.feature-matching.weight 1"

_FIXED = "--objective.consistency.no-adaptive-threshold"

VARIANTS = {
    AS_IT_IS: Variant(),
    # Consistency compares views.
    "labels alone, no augmentation": _options(
        "--augmentation.kind none --objective.consistency.weight 0"
    ),
    "no cutout": _options("--augmentation.cutout 0"),
    "no colour": _options(
        "--augmentation.brightness 0 --augmentation.contrast 0 --augmentation.saturation 0"
        " --augmentation.hue 0 --augmentation.grey 0"
    ),
    "labels alone": _options("--objective.consistency.weight 0"),
    "with a GAN": _options(_GAN),
    "GAN in place of consistency": _options(f"{_GAN} --objective.consistency.weight 0"),
    "distribution alignment": _options("--objective.consistency.distribution-alignment"),
    "threshold .8": _options(f"{_FIXED} --objective.consistency.threshold 0.8"),
    "threshold .9": _options(f"{_FIXED} --objective.consistency.threshold 0.9"),
    "threshold .95": _options(f"{_FIXED} --objective.consistency.threshold 0.95"),
    "targets of the teacher": _options("--objective.consistency.targets teacher"),
    "soft targets": _options("--objective.consistency.temperature 0.5"),
    "conditional entropy": _options("--objective.conditional-entropy.weight 0.1"),
    "with a GAN and pull-away": _options(f"{_GAN} --objective.pull-away.weight 0.8"),
    "no averaging": _options("--optimizer.averaging-rate 1"),
    "networks of the paper": _with_networks(
        ConvSettings(width=16, generator_width=64, data_dependent_initialization=False)
    ),
}
"""Parts that are changed, by name. A variant that does not differ from the recipe has the same errors."""


@dataclass(frozen=True)
class Plan:
    """Measurements of a call, their data and their settings."""

    names: list[str]
    variants: list[str]
    draws: int
    cpu_seconds: float
    threads: int
    mnist: Path | None
    cifar10: Path | None
    folders: Path
    runs: Path

    def cell(self, name: str, variant: str, draw: int) -> Cell:
        """The cell of a row, a variant and a draw."""
        settings = {
            "cpu_seconds": self.cpu_seconds,
            "threads": self.threads,
            "task": asdict(ROWS[name]),
            "options": VARIANTS[variant].options,
            "recipe": recipe_to_yaml(self.recipe(name, variant)),
        }
        slug = re.sub(r"[^a-z0-9]+", "-", variant.lower())
        return Cell((name, slug, str(draw)), settings, CONVERGAN_CODE)

    def recipe(self, name: str, variant: str) -> Recipe:
        """The recipe that the options of a variant are added to."""
        recipe = replace(PRESETS[ROWS[name].recipe], minutes=None)
        return VARIANTS[variant].change(recipe)

    def trainings(self) -> Iterator[tuple[str, str, int]]:
        """Row, variant and draw of each, draw by draw."""
        for draw in range(FIRST_DRAW, FIRST_DRAW + self.draws):
            for name in self.names:
                for variant in self.variants:
                    yield name, variant, draw

    def measure(self, name: str, variant: str, draw: int) -> dict[str, Any]:
        """Time a step of a variant, and train it for as many as the seconds hold."""
        task = ROWS[name]
        cell = self.cell(name, variant, draw)
        out = self.runs / "runs" / cell.name
        file = out.with_suffix(".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, recipe_to_yaml(self.recipe(name, variant)))
        words: list[object] = ["--from", file, "--seed", draw, "--no-baseline", "--epochs"]
        if task.source == "folder":
            folder = self.folders / f"{name}-{draw}"
            write_folder(task, draw, self.cifar10, folder)
            words = ["--data.path", folder, *words]
        else:
            path: list[object] = ["--data.path", self.mnist] if self.mnist else []
            words = ["--labels", task.labels, *(path if task.source == "mnist" else []), *words]

        def run(steps: int, epochs: int) -> dict[str, Any]:
            train_words = [*words, epochs, "--steps", steps, *VARIANTS[variant].options]
            return train(train_words, out, threads=self.threads)

        # The first training of a folder also decodes it.
        run(1, 1)
        step = step_seconds(lambda steps: float(run(steps, 1)["cpu_seconds"]))
        results = run(max(EPOCHS, round(self.cpu_seconds / step)), EPOCHS)
        return {
            "test_errors": results["test_errors"],
            "test_size": results["test_size"],
            "steps": max(EPOCHS, round(self.cpu_seconds / step)),
            "step_cpu_seconds": step,
            "cpu_seconds": results["cpu_seconds"],
            "device": results["device"],
            "precision": results["precision"],
        }


def error_rates(plan: Plan, cells: Cells) -> dict[str, dict[str, dict[int, dict[str, Any]]]]:
    """The cells that there are, by row, variant and draw."""
    by_row: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for name, variant, draw in plan.trainings():
        cell = cells.load(plan.cell(name, variant, draw))
        if cell is not None:
            rate = 100 * cell["test_errors"] / cell["test_size"]
            by_row.setdefault(name, {}).setdefault(variant, {})[draw] = {**cell, "rate": rate}
    return by_row


def _mean(by_draw: dict[int, dict[str, Any]]) -> float:
    return mean(cell["rate"] for cell in by_draw.values())


def print_tables(
    plan: Plan, by_row: dict[str, dict[str, dict[int, dict[str, Any]]]], console: Console
) -> None:
    """Print a table for each row, the most accurate variant first."""
    for name, by_variant in by_row.items():
        table = Table(title=f"{name}, {plan.cpu_seconds:g} CPU seconds", box=None, pad_edge=False)
        table.add_column("variant")
        for column in ("errors, %", "against as it is", "steps", "CPU seconds"):
            table.add_column(column, justify="right")
        reference = _mean(by_variant[AS_IT_IS]) if AS_IT_IS in by_variant else None
        for variant in sorted(by_variant, key=lambda key: _mean(by_variant[key])):
            variant_cells = list(by_variant[variant].values())
            rates = [cell["rate"] for cell in variant_cells]
            spread = f" ± {stdev(rates):.2f}" if len(rates) > 1 else ""
            table.add_row(
                variant,
                f"{mean(rates):.2f}{spread}",
                "-" if reference is None else f"{mean(rates) - reference:+.2f}",
                f"{mean(cell['steps'] for cell in variant_cells):.0f}",
                f"{mean(cell['cpu_seconds'] for cell in variant_cells):.0f}",
            )
        console.print(table)


def result_rows(
    plan: Plan, by_row: dict[str, dict[str, dict[int, dict[str, Any]]]]
) -> list[dict[str, Any]]:
    """A row for each task and variant: the recipe compared with the variant, over the draws of both."""
    rows = []
    for name, by_variant in by_row.items():
        unchanged = by_variant.get(AS_IT_IS, {})
        for variant, changed in by_variant.items():
            draws = sorted(unchanged.keys() & changed.keys())
            if variant == AS_IT_IS or not draws:
                continue
            own_rates, peer_rates = (
                [variant_cells[draw]["rate"] for draw in draws]
                for variant_cells in (unchanged, changed)
            )
            rows.append(
                row(
                    claim="what each part of a recipe brings in the same CPU seconds",
                    setting=f"{ROWS[name].setting}, {plan.cpu_seconds:g} CPU seconds",
                    device=unchanged[draws[0]]["device"],
                    precision=unchanged[draws[0]]["precision"],
                    ours=mean(own_rates),
                    peer=mean(peer_rates),
                    peer_name=variant,
                    unit="% test errors",
                    repeats=len(draws),
                    options=" ".join(VARIANTS[variant].options),
                    draws=draws,
                    ours_by_draw=own_rates,
                    peer_by_draw=peer_rates,
                    ours_steps=[unchanged[draw]["steps"] for draw in draws],
                    peer_steps=[changed[draw]["steps"] for draw in draws],
                    ours_cpu_seconds=[round(unchanged[draw]["cpu_seconds"], 1) for draw in draws],
                    peer_cpu_seconds=[round(changed[draw]["cpu_seconds"], 1) for draw in draws],
                    trained_at_commits=sorted(
                        {
                            str(variant_cells[draw]["git_commit"])
                            for variant_cells in (unchanged, changed)
                            for draw in draws
                        }
                    ),
                )
            )
    return rows


def main() -> None:
    parser = command_parser(__doc__)
    add_options(parser, Path("runs/benchmarks/ablation"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["mnist", "folder-chosen-on"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--cpu-seconds", type=float, default=240.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    plan = Plan(
        names=arguments.rows,
        variants=arguments.variants,
        draws=arguments.draws,
        cpu_seconds=arguments.cpu_seconds,
        threads=arguments.threads,
        mnist=arguments.mnist,
        cifar10=arguments.cifar10,
        folders=(arguments.folders or cache_folder() / "benchmarks").resolve(),
        runs=arguments.runs.resolve(),
    )
    cells = Cells(plan.runs / "cells", any_code=arguments.any_code)
    failed = 0
    if not arguments.table:
        by_cell = {plan.cell(*training).name: training for training in plan.trainings()}
        failed = cells.run(
            [plan.cell(*training) for training in by_cell.values()],
            lambda cell: plan.measure(*by_cell[cell.name]),
        )
    by_row = error_rates(plan, cells)
    print_tables(plan, by_row, Console())
    if rows := result_rows(plan, by_row):
        print(write_rows("ablation", rows))
    if failed:
        raise SystemExit(f"{failed} cells failed")


if __name__ == "__main__":
    main()
