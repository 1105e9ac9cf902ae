"""The table as it is shown and written: with holes, failures, and what was published."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from convergan.errors import UserError
from convergan.experiments.adopt import adopt
from convergan.experiments.grid import grid_of, written
from convergan.experiments.outputs import CSV_COLUMNS, csv_of, markdown_of, print_grid
from convergan.experiments.plan import Plan, plan_of
from convergan.experiments.published import Number
from convergan.experiments.store import Store
from convergan.experiments.summary import Summary, summaries
from convergan.experiments.tables import TABLES
from convergan.experiments.work import job_of
from convergan.json_files import read_json, write_json
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.settings import Recipe
from experiments.scripted import write_results


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out", tmp_path / "kept")


def done(plan: Plan, store: Store, names: str) -> None:
    """Writes the results of the cells whose names begin so."""
    for cell in plan.cells():
        if cell.name.startswith(names):
            members = tuple(Path(need.name) for need in cell.needs)
            write_results(job_of(cell, store.cell_folder(cell), store.log(cell), members=members))


def shown(plan: Plan, found: list[Summary]) -> str:
    text = io.StringIO()
    print_grid(grid_of(plan, found), Console(file=text, width=80))
    return text.getvalue()


@pytest.mark.parametrize("name", ["table1", "table2", "svhn"])
def test_the_papers_tables_fit_in_eighty_columns(name: str, store: Store) -> None:
    plan = plan_of(TABLES[name])  # type: ignore[index]
    text = shown(plan, summaries(plan, store, {}))
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    recipe = TABLES[name].recipes[0]  # type: ignore[index]
    assert any(line.startswith(f"{recipe}, ensemble of 10") for line in lines)
    # Nothing was folded: each published row is one line.
    assert sum(line.startswith("paper ") for line in lines) == 1
    # Where nothing was measured, nothing is said.
    (ours,) = [line for line in lines if line.startswith(f"{recipe} ")]
    assert ours.split()[1:] == ["-"] * len(plan.table.labels)


def test_mean_deviation_and_median_are_over_the_draws(
    plan: Callable[..., Plan], store: Store
) -> None:
    made = plan(labels=[20, 50], draws=3)
    done(made, store, "tiny-20")
    done(made, store, "tiny-50-seed0")
    text = shown(made, summaries(made, store, {}))
    assert "119 ± 1 " in text and "70" in text
    (median,) = [line for line in text.splitlines() if line.startswith("  median")]
    assert median.split()[1:] == ["119", "70"]
    assert "3 of 3" in text and "1 of 3" in text


def test_a_recipe_that_is_not_the_tables_own_is_named_and_explained(store: Store) -> None:
    plan = plan_of(TABLES["table1"], recipes=["mnist", "mnist-fast"], draws=1, members=1)
    notes = grid_of(plan, summaries(plan, store, {})).notes
    (note,) = [note for note in notes if note.startswith("mnist")]
    assert note.startswith("mnist-fast: MNIST with 100 labels in 3,000 steps: shifted and turned")


def test_a_failed_cell_is_a_hole_with_its_error(plan: Callable[..., Plan], store: Store) -> None:
    made = plan(labels=[20, 50], draws=2)
    done(made, store, "tiny-20-seed0")
    name = next(cell.name for cell in made.cells() if cell.name.startswith("tiny-50-seed1"))
    found = summaries(made, store, {name: "loss is not finite | stopped"})
    text = shown(made, found)
    assert "0 of 2, 1 failed" in text and "1 of 2" in text
    assert "tiny, 50 labels, draw 1 failed: loss is not finite | stopped" in text
    markdown = markdown_of(grid_of(made, found))
    # A vertical bar would end a cell of the table.
    assert r"loss is not finite \| stopped" in markdown
    assert len({line.count(" | ") for line in markdown.splitlines() if line[:1] == "|"}) == 1


def test_the_csv_has_each_number_of_the_table(plan: Callable[..., Plan], store: Store) -> None:
    made = plan(labels=[20, 50], draws=2, members=2)
    done(made, store, "tiny-20")
    lines = list(csv.DictReader(io.StringIO(csv_of(made, summaries(made, store, {})))))
    assert tuple(lines[0]) == CSV_COLUMNS
    ours = [line for line in lines if line["source"] == "measured"]
    assert [(line["labels"], line["models"]) for line in ours] == [
        ("20", "1"), ("50", "1"), ("20", "2"), ("50", "2"),
    ]  # fmt: skip
    single, hole, ensemble, _ = ours
    assert (single["mean"], single["median"], single["values"]) == ("118.5", "118.5", "0:118 1:119")
    assert (hole["mean"], hole["draws"], hole["planned"]) == ("", "0", "2")
    assert ensemble["mean"] == "108.5"
    paper = [line for line in lines if line["row"] == "paper" and line["labels"] == "20"]
    assert (paper[0]["mean"], paper[0]["stdev"]) == ("1677", "452")


def test_shares_are_of_the_test_images(plan: Callable[..., Plan], store: Store) -> None:
    made = plan(table="table2", labels=[20])
    done(made, store, "tiny-20")
    (found,) = summaries(made, store, {})
    assert found.number == Number(100 * 118 / 500)
    assert written(found.number, "%") == "23.60"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(1677, 452), "1677 ± 452"),
        (Number(93, 6.5), "93 ± 6.5"),
        (Number(102.6, 5.2726), "102.6 ± 5.3"),
        (Number(101), "101"),
        (None, "-"),
    ],
)
def test_numbers_have_as_many_digits_as_the_papers(number: Number | None, text: str) -> None:
    assert written(number, "errors") == text


def test_the_rows_of_table_3_are_variants(
    plan: Callable[..., Plan], store: Store, tmp_path: Path
) -> None:
    made = plan(table="table3", labels=(), samples=500)
    real = made.entries[0].cells[0]
    content = {"recipe": "tiny", "seed": 0, "score": 9.5, "stdev": 0.25, "sha256": real.sha256}
    write_json(_folder(store.cell_folder(real)) / "results.json", content)
    text = shown(made, summaries(made, store, {}))
    (line,) = [line for line in text.splitlines() if line.startswith("real data")]
    assert line.split("  ")[1:][-3:] == ["11.24 ± 0.12", "9.50 ± 0.25", "1 of 1"]
    (ours,) = [line for line in text.splitlines() if line.startswith("tiny")]
    assert ours.split()[1:] == ["-", "-", "0", "of", "1"]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_the_figure_has_every_series_and_the_same_bytes_each_time(
    plan: Callable[..., Plan], store: Store, tmp_path: Path
) -> None:
    from convergan.experiments.figure import write_error_bars

    made = plan(labels=[20, 50], draws=2)
    done(made, store, "tiny-20")
    found = summaries(made, store, {})
    for name in ("one.svg", "two.svg"):
        write_error_bars(tmp_path / name, made, found)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    for name in ("paper", "Ladder + PBWN", "tiny"):
        assert f"<!-- {name} -->" in text
    # It has no number in these columns.
    assert "<!-- Bad GAN -->" not in text


def test_what_is_kept_is_enough_when_the_runs_are_gone(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan(draws=2, members=2)
    store = Store(tmp_path / "out", tmp_path / "kept")
    done(made, store, "tiny")
    for cell in made.cells():
        if cell.needs:
            store.keep("table1", cell)
    elsewhere = Store(tmp_path / "new", tmp_path / "kept")
    found = summaries(made, elsewhere, {})
    assert [len(each.values) for each in found] == [0, 2]
    missing = made.missing(elsewhere)
    # The ensembles are known: of members only the single models are wanted.
    assert len(missing.targets) == len(missing.cells) == 2


def test_runs_with_the_settings_of_a_cell_are_adopted(
    plan: Callable[..., Plan], store: Store, trained_run: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    file = tmp_path / "quick.yaml"
    file.write_text(recipe_to_yaml(quick_recipe))
    made = plan(recipes=[str(file)], labels=[100, 50], draws=2)
    # It has a baseline and its own number of threads, which decide nothing.
    assert [(cell.title, folder) for cell, folder in adopt(made, store, [trained_run.parent])] == [
        ("digits, 100 labels, seed 0", trained_run)
    ]
    results = read_json(trained_run / "results.json")
    hundred, fifty = summaries(made, store, {})
    assert hundred.values == {0: results["test_errors"]} and fifty.values == {}
    assert adopt(made, store, [trained_run.parent]) == []
    (kept,) = store.kept.glob("table1/*/results.json")
    content = read_json(kept)
    assert content["errors_by_epoch"][-1] == results["test_errors"]
    assert content["settings"]["epochs"] == quick_recipe.epochs
    with pytest.raises(UserError, match=r"^adopt: expected a folder of runs, got .*absent"):
        adopt(made, store, [tmp_path / "absent"])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("test_errors", -1, "expected the results of a cell, got"),
        ("seed", 1, r"expected the results of tiny, 20 labels, seed 0 \(seed 0\), got 1"),
        (
            "sha256",
            "0" * 64,
            r"expected the results of tiny, 20 labels, seed 0 \(sha256 .*\), got 0",
        ),
    ],
)
def test_results_of_something_else_are_refused(
    plan: Callable[..., Plan], store: Store, key: str, value: object, message: str
) -> None:
    made = plan()
    (cell,) = made.cells()
    done(made, store, "tiny")
    path = store.cell_folder(cell) / "results.json"
    write_json(path, {**read_json(path), key: value})
    with pytest.raises(UserError, match=message):
        store.found(cell)
