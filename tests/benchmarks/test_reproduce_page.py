"""docs/reproduce.md and the curves of reports say what is kept of finished cells."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import reproduce_page
from convergan.errors import UserError
from convergan.experiments.cells import Cell
from convergan.experiments.figure import write_error_bars
from convergan.experiments.grid import grids_of
from convergan.experiments.plan import plan_of
from convergan.experiments.store import Store
from convergan.experiments.summary import summaries
from convergan.experiments.tables import TABLES
from convergan.json_files import json_values, write_json
from convergan.recipes.presets import PRESETS
from convergan.report.expected import expected_curve

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_the_page_is_what_the_results_say() -> None:
    assert reproduce_page.PAGE.read_text(encoding="utf-8") == reproduce_page.page_text()


def test_the_figures_are_what_the_results_say(tmp_path: Path) -> None:
    plans = reproduce_page.measured_plans()
    assert [plan.table.name for plan in plans] == ["table1"]
    for plan in plans:
        name = f"reproduce-{plan.table.name}.svg"
        write_error_bars(tmp_path / name, plan, reproduce_page._summaries(plan))
        assert (tmp_path / name).read_text() == (reproduce_page.IMAGES / name).read_text()
    reproduce_page.draw_curves(tmp_path / "curves.svg", reproduce_page.curves())
    committed = (reproduce_page.IMAGES / "reproduce-curves.svg").read_text()
    assert (tmp_path / "curves.svg").read_text() == committed


def keep(results: Path, cell: Cell, **changes: object) -> Path:
    """Write the results of a cell of Table 1, with changes, and return their path."""
    members = [
        {"seed": m, "test_errors": 9, "test_error_rate": 0.1} for m in range(len(cell.needs))
    ]
    path = results / "table1" / cell.name / "results.json"
    path.parent.mkdir(parents=True)
    content = {
        "recipe": cell.recipe.name,
        "labels": cell.recipe.labels,
        "seed": cell.draw,
        "test_size": 100,
        "test_errors": 7,
        "sha256": cell.sha256,
        "members": members,
    }
    write_json(path, content | changes)
    return path


def test_every_kept_cell_is_on_the_page_whatever_its_draw_and_its_ensemble(tmp_path: Path) -> None:
    table = TABLES["table1"]
    draws = plan_of(table, recipes=["mnist", "mnist-fast"], labels=[50, 75], draws=13, members=1)
    three_members = plan_of(table, labels=[20], draws=1, members=3)
    five_members = plan_of(table, labels=[20], draws=1, members=5)
    for cell in (
        draws.entries[0].cells[12],
        draws.entries[3].cells[0],
        three_members.entries[1].cells[0],
        five_members.entries[1].cells[0],
    ):
        keep(tmp_path, cell)
    plan = reproduce_page.plan_of_kept(table, tmp_path)
    assert plan is not None
    results = summaries(plan, Store(tmp_path / "none", tmp_path), {})
    measured = {
        (summary.recipe, summary.entry.column, summary.entry.models): (
            list(summary.values),
            summary.planned,
        )
        for summary in results
        if summary.values
    }
    assert measured == {
        ("mnist", "50", 1): ([12], 11),
        ("mnist-fast", "75", 1): ([0], 10),
        ("mnist", "20", 3): ([0], 10),
        ("mnist", "20", 5): ([0], 10),
    }
    # Each row has all columns, whatever is measured in it.
    main, separate = grids_of(plan, results)
    assert main.columns == separate.columns
    assert [row.name for row in main.rows if row.is_measured and row.name[0] != " "] == [
        "mnist",
        "mnist, ensemble of 3",
        "mnist, ensemble of 5",
        # The paper's, of which nothing is kept.
        "mnist, ensemble of 10",
    ]
    names = [row.name for row in separate.rows if row.name[0] != " "]
    assert names == ["mnist-fast", "mnist-fast, ensemble of 10"]


def test_a_table_without_a_kept_cell_has_the_papers_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce_page, "RESULTS", tmp_path)
    section = reproduce_page._section(TABLES["table1"])
    assert "`convergan reproduce table1 --data.path DIR`: nothing is measured yet." in section
    assert "| paper, ensemble of 10 | 1134 ± 445 |" in section
    assert (
        "| **mnist, ensemble of 10** | **-** | **-** | **-** | **-** |\n| draws of labels | 0 of 10 |"
        in section
    )
    assert "| our methods | 8.09 ± 0.07 | - | 0 of 1 |" in reproduce_page._section(TABLES["table3"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "expected the results of mnist, 50 labels, seed 3"),
        ({"seed": 4}, "expected the results of mnist, 50 labels, seed 3"),
        ({"recipe": "mnits"}, "expected the results of mnist, 50 labels, seed 3"),
        ({"test_errors": "7"}, "expected the results of a cell"),
    ],
)
def test_a_kept_cell_that_would_be_left_out_is_an_error(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    table = TABLES["table1"]
    cell = plan_of(table, labels=[50], draws=4, members=1).entries[0].cells[3]
    path = keep(tmp_path, cell, **changes)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: {message}"):
        reproduce_page.plan_of_kept(table, tmp_path)
    path.parent.rename(path.parent.with_name("mnist-50-seed3-of-an-earlier-recipe"))
    with pytest.raises(
        UserError, match=r"earlier-recipe/results\.json: expected what a cell of the"
    ):
        reproduce_page.plan_of_kept(table, tmp_path)


def test_the_curves_are_what_the_results_say() -> None:
    curves = reproduce_page.curves()
    assert {f"{curve.recipe}-{curve.labels}.json" for curve in curves} == {
        path.name for path in reproduce_page.CURVES.glob("*.json")
    }
    for curve in curves:
        path = reproduce_page.CURVES / f"{curve.recipe}-{curve.labels}.json"
        assert json.loads(path.read_text()) == json_values(curve)


def test_five_runs_of_mnist_with_100_labels_are_adopted() -> None:
    plan = plan_of(TABLES["table1"], labels=[100], members=1)
    (summary,) = summaries(plan, Store(Path("absent"), RESULTS), {})
    for seed in range(5):
        run = json.loads((RESULTS / "mnist-100" / f"{seed}-results.json").read_text())
        outcome = summary.outcomes[seed]
        assert (outcome.labels, outcome.epochs, outcome.test_size) == (100, 150, 10_000)
        assert summary.values[seed] == run["test_errors"]
        lines = (RESULTS / "mnist-100" / f"{seed}-metrics.jsonl").read_text().splitlines()
        (path,) = RESULTS.glob(f"table1/mnist-100-seed{seed}-*/results.json")
        results = json.loads(path.read_text())
        assert results["errors_by_epoch"] == [json.loads(line)["test_errors"] for line in lines]
        assert results["trained_at_commits"] == run["trained_at_commits"]


@pytest.mark.parametrize("seed", [0, 9])
def test_a_run_of_the_recipe_has_its_curve_and_another_has_none(seed: int) -> None:
    curve = expected_curve(replace(PRESETS["mnist"], seed=seed))
    assert curve is not None and curve.epochs[-1] == 150
    assert all(
        low <= mean <= high
        for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True)
    )
    assert expected_curve(replace(PRESETS["mnist"], seed=seed, labels=50)) is None
    assert expected_curve(replace(PRESETS["mnist"], seed=seed, epochs=149)) is None
