"""The writer of docs/reproduce.md, of its figures and of the curves of reports, from finished cells.

    python benchmarks/reproduce_page.py

Cells get into benchmarks/results by `convergan reproduce TABLE --results benchmarks/results`.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from convergan.errors import UserError
from convergan.experiments.cells import with_needs
from convergan.experiments.figure import write_error_bars
from convergan.experiments.grid import grids_of
from convergan.experiments.outputs import markdown_of, provenance_of
from convergan.experiments.plan import Plan, plan_of
from convergan.experiments.store import Store
from convergan.experiments.summary import summaries
from convergan.experiments.tables import TABLES, Table
from convergan.files import make_folder, write_text
from convergan.json_files import read_json, write_json
from convergan.page.figure_file import write_figure
from convergan.recipes.files import recipe_from_dict
from convergan.recipes.members import split_seed
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.report.expected import ExpectedCurve, curve_key
from harness import BENCHMARKS, ROOT
from harness.command_line import command_parser

RESULTS = BENCHMARKS / "results"
PAGE = ROOT / "docs" / "reproduce.md"
IMAGES = ROOT / "docs" / "images"
CURVES = ROOT / "src" / "convergan" / "report" / "curves"

MARK = "<!-- The rest is written by benchmarks/reproduce_page.py. -->"
"""Line that ends the part of the page that is written by hand."""

_POINTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)
"""Epochs of a curve that are kept; above these every fifth, and the last."""


def main() -> None:
    command_parser(__doc__).parse_args()
    text = page_text()
    write_text(PAGE, text)
    for curve in curves():
        make_folder(CURVES)
        write_json(CURVES / f"{curve.recipe}-{curve.labels}.json", curve)
    draw_curves(IMAGES / "reproduce-curves.svg", curves())
    for plan in measured_plans():
        write_error_bars(IMAGES / f"reproduce-{plan.table.name}.svg", plan, _summaries(plan))
    print(f"wrote {PAGE}")


def page_text() -> str:
    """The page: what is written by hand in it, and the tables."""
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return f"{by_hand}{MARK}\n\n{''.join(_section(table) for table in TABLES.values())}{_curves_section()}"


def measured_plans() -> list[Plan]:
    """The tables of which a cell is measured, with rows for all recipes that are."""
    return [plan for table in TABLES.values() if (plan := plan_of_kept(table, RESULTS)) is not None]


def plan_of_kept(table: Table, results: Path) -> Plan | None:
    """The table with every recipe, number of labels, draw and ensemble of which a cell is kept, and with the
    paper's single models and ensembles of these recipes and its own; None if no cell is kept.

    Raises:
        UserError: a file is damaged, or of no such cell, as of a preset that has changed since.
    """
    paths = sorted((results / table.name).glob("*/results.json"))
    if not paths:
        return None
    contents = [read_json(path) for path in paths]
    recipes = [name for name in PRESETS if name in {entry["recipe"] for entry in contents}]
    columns = {entry["labels"] for entry in contents} | {*table.labels} if table.labels else set()
    draws = max(table.draws, *(_draw(entry) + 1 for entry in contents))
    sizes = {len(entry.get("members", ())) for entry in contents} - {0}
    plans = [
        plan_of(
            table,
            recipes=[*dict.fromkeys((*table.recipes, *recipes))],
            labels=sorted(columns),
            draws=draws,
            members=members,
        )
        for members in sorted(sizes | {table.members})
    ]
    entries = {
        (entry.row, entry.column, entry.models): entry for plan in plans for entry in plan.entries
    }
    store = Store(results / "none", results)
    cells = with_needs([cell for entry in entries.values() for cell in entry.cells])
    done = {cell.name for cell in cells if store.outcome(cell) is not None}
    for path in paths:
        if path.parent.name not in done:
            expected = "what a cell of the table by a preset as it is now came to"
            raise UserError(store.problems.get(path.parent.name, f"{path}: expected {expected}"))
    measured = {
        (entry.row, entry.models)
        for entry in entries.values()
        if any(cell.name in done for cell in entry.cells)
    }
    return replace(
        plans[0],
        entries=tuple(
            replace(
                entry,
                cells=tuple(
                    cell
                    for number, cell in enumerate(entry.cells)
                    if number < table.draws or cell.name in done
                ),
            )
            for entry in entries.values()
            if entry.models in (1, table.members) or (entry.row, entry.models) in measured
        ),
    )


def _draw(content: dict[str, Any]) -> int:
    """The draw of labels that a cell is of."""
    own = content.get("settings", {}).get("data", {}).get("split_seed")
    draw: int = content["seed"] if own is None else own
    return draw


def _summaries(plan: Plan) -> Any:
    return summaries(plan, Store(ROOT / "runs" / "none", RESULTS), {})


def _section(table: Table) -> str:
    plan = plan_of_kept(table, RESULTS)
    command = f"convergan reproduce {table.name} --data.path DIR"
    if plan is None and not table.published:
        return f"## {table.title}\n\n`{command}`: nothing is measured yet.\n\n"
    if plan is None:
        (grid,) = grids_of(plan_of(table), _summaries(plan_of(table)))
        title, _, body = markdown_of(grid).partition("\n\n")
        return f"{title}\n\n`{command}`: nothing is measured yet.\n\n{body}\n"
    recipes = list(dict.fromkeys(entry.cells[0].recipe.name for entry in plan.entries))
    if not set(recipes) <= set(table.recipes):
        command += f" --recipes {' '.join(recipes)}"
    summary = _summaries(plan)
    grids = grids_of(plan, summary)
    title, _, body = markdown_of(grids[0]).partition("\n\n")
    figure = f"![{table.title}: means with error bars](images/reproduce-{table.name}.svg)"
    further_tables = "".join(f"#{markdown_of(grid)}\n" for grid in grids[1:])
    measured = f"### Measured\n\n{provenance_of(summary)}\n"
    return f"{title}\n\n`{command}`\n\n{body}\n{figure}\n\n{further_tables}{measured}"


def curves() -> list[ExpectedCurve]:
    """The error rates by epoch of every recipe of which two runs or more are kept."""
    groups: dict[str, list[tuple[Recipe, dict[str, Any]]]] = {}
    for path in sorted(RESULTS.glob("*/*/results.json")):
        content = read_json(path)
        if not content.get("errors_by_epoch") or None in content["errors_by_epoch"]:
            continue
        recipe = recipe_from_dict(_with_places(content["settings"]), str(path))
        if split_seed(recipe) != recipe.seed:
            continue  # a further member of an ensemble, with the labels of another run
        runs = groups.setdefault(curve_key(recipe), [])
        if content["sha256"] not in [former["sha256"] for _, former in runs]:
            runs.append((recipe, content))
    several = [_curve(key, runs) for key, runs in groups.items() if len(runs) > 1]
    return sorted(several, key=lambda curve: (curve.recipe, curve.labels or 0))


def _with_places(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "data": {**settings["data"], "path": None, "cache": None}}


def _curve(key: str, runs: list[tuple[Recipe, dict[str, Any]]]) -> ExpectedCurve:
    recipe, first = runs[0]
    size = first["test_size"]
    epochs = _thinned(len(first["errors_by_epoch"]))
    by_epoch = [[run["errors_by_epoch"][epoch - 1] / size for _, run in runs] for epoch in epochs]
    return ExpectedCurve(
        recipe=recipe.name,
        labels=recipe.labels,
        key=key,
        seeds=tuple(sorted(run["seed"] for _, run in runs)),
        test_size=size,
        epochs=epochs,
        low=_rounded(map(min, by_epoch)),
        mean=_rounded(sum(rates) / len(rates) for rates in by_epoch),
        high=_rounded(map(max, by_epoch)),
    )


def _thinned(epochs: int) -> tuple[int, ...]:
    candidates = [*_POINTS, *range(20, epochs, 5)]
    return (*(epoch for epoch in candidates if epoch < epochs), epochs)


def _rounded(rates: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(rate, 5) for rate in rates)


def draw_curves(path: Path, expected_curves: list[ExpectedCurve]) -> None:
    """Draw all curves, mean and range over the seeds, on logarithmic axes."""

    def draw(axes: Any) -> None:
        for curve in expected_curves:
            name = f"{curve.recipe}, {curve.labels} labels, {len(curve.seeds)} seeds"
            (line,) = axes.plot(curve.epochs, [100 * rate for rate in curve.mean], label=name)
            axes.fill_between(
                curve.epochs,
                [100 * rate for rate in curve.low],
                [100 * rate for rate in curve.high],
                color=line.get_color(),
                alpha=0.2,
                linewidth=0,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("misclassified test images, %")
        axes.legend(frameon=False, fontsize=8)

    write_figure(path, draw)


def _curves_section() -> str:
    rows = [
        f"| {curve.recipe} | {curve.labels} | {', '.join(map(str, curve.seeds))} |"
        f" {_rate_text(curve, 10)} | {_rate_text(curve, 50)} | {_rate_text(curve, curve.epochs[-1])} |"
        for curve in curves()
    ]
    table = "\n".join(
        [
            "| recipe | labels | seeds | epoch 10 | epoch 50 | last epoch |",
            "| --- | ---: | --- | ---: | ---: | ---: |",
            *rows,
        ]
    )
    return (
        "## Expected curves\n\n"
        "Test errors by epoch, mean and range over the seeds. A run of the same recipe has them in its"
        " report, below its own curve.\n\n"
        "![Test errors by epoch](images/reproduce-curves.svg)\n\n"
        f"{table}\n"
    )


def _rate_text(curve: ExpectedCurve, epoch: int) -> str:
    if epoch not in curve.epochs:
        return ""
    place = curve.epochs.index(epoch)
    low, mean, high = (100 * rates[place] for rates in (curve.low, curve.mean, curve.high))
    return f"{mean:.2f} % ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
