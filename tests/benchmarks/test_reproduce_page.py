"""docs/reproduce.md and the curves of reports say what is kept of finished cells."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import reproduce_page
from convergan.experiments.plan import plan_of
from convergan.experiments.store import Store
from convergan.experiments.summary import summaries
from convergan.experiments.tables import TABLES
from convergan.json_files import json_values
from convergan.recipes.presets import PRESETS
from convergan.report.expected import expected_curve

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_the_page_is_what_the_results_say() -> None:
    assert reproduce_page.PAGE.read_text(encoding="utf-8") == reproduce_page.page_text()


def test_the_curves_are_what_the_results_say() -> None:
    found = reproduce_page.curves()
    assert {f"{curve.recipe}-{curve.labels}.json" for curve in found} == {
        path.name for path in reproduce_page.CURVES.glob("*.json")
    }
    for curve in found:
        path = reproduce_page.CURVES / f"{curve.recipe}-{curve.labels}.json"
        assert json.loads(path.read_text()) == json_values(curve)


def test_five_runs_of_mnist_with_100_labels_are_adopted() -> None:
    plan = plan_of(TABLES["table1"], labels=[100], members=1)
    (found,) = summaries(plan, Store(Path("absent"), RESULTS), {})
    for seed in range(5):
        run = json.loads((RESULTS / "mnist-100" / f"{seed}-results.json").read_text())
        outcome = found.outcomes[seed]
        assert (outcome.labels, outcome.epochs, outcome.test_size) == (100, 150, 10_000)
        assert found.values[seed] == run["test_errors"]
        lines = (RESULTS / "mnist-100" / f"{seed}-metrics.jsonl").read_text().splitlines()
        (path,) = RESULTS.glob(f"table1/mnist-100-seed{seed}-*/results.json")
        kept = json.loads(path.read_text())
        assert kept["errors_by_epoch"] == [json.loads(line)["test_errors"] for line in lines]
        assert kept["trained_at_commits"] == run["trained_at_commits"]


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
