"""The table as it is shown and written: with holes, failures, and what was published."""

import csv
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from convergan.errors import UserError
from convergan.experiments.adopt import adopt
from convergan.experiments.grid import Grid, grids_of, number_text
from convergan.experiments.images import images_of, require_same_images
from convergan.experiments.outputs import (
    CSV_COLUMNS,
    csv_of,
    markdown_of,
    print_grid,
    provenance_of,
)
from convergan.experiments.plan import Plan, plan_of
from convergan.experiments.published import Number
from convergan.experiments.store import Store
from convergan.experiments.summary import Summary, summaries
from convergan.experiments.tables import TABLES
from convergan.experiments.work import job_of
from convergan.json_files import read_json, write_json
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, Recipe
from convergan.runs.folder import RunFolder
from experiments.scripted import write_results


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out", tmp_path / "kept")


def done(plan: Plan, store: Store, names: str) -> None:
    """Write the results of the cells whose names begin with `names`."""
    for cell in plan.cells():
        if cell.name.startswith(names):
            members = tuple(Path(need.name) for need in cell.needs)
            write_results(job_of(cell, store.cell_folder(cell), store.log(cell), members=members))


def _main(plan: Plan, entry_summaries: list[Summary]) -> Grid:
    """The only block of the table."""
    (grid,) = grids_of(plan, entry_summaries)
    return grid


def grid_text(plan: Plan, entry_summaries: list[Summary]) -> str:
    text = io.StringIO()
    print_grid(_main(plan, entry_summaries), Console(file=text, width=80))
    return text.getvalue()


@pytest.mark.parametrize("name", ["table1", "table2", "svhn"])
def test_the_papers_tables_fit_in_eighty_columns(name: str, store: Store) -> None:
    plan = plan_of(TABLES[name])  # type: ignore[index]
    text = grid_text(plan, summaries(plan, store, {}))
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    recipe = TABLES[name].recipes[0]  # type: ignore[index]
    assert any(line.startswith(f"{recipe}, ensemble of 10") for line in lines)
    # Nothing was folded: each published row is one line.
    assert sum(line.startswith("paper ") for line in lines) == 1
    # Where nothing was measured, nothing is said.
    (measured,) = [line for line in lines if line.startswith(f"{recipe} ")]
    assert measured.split()[1:] == ["-"] * len(plan.table.labels)


def test_mean_deviation_and_median_are_over_the_draws(
    plan: Callable[..., Plan], store: Store
) -> None:
    tiny_plan = plan(labels=[20, 50], draws=3)
    done(tiny_plan, store, "tiny-20")
    done(tiny_plan, store, "tiny-50-seed0")
    text = grid_text(tiny_plan, summaries(tiny_plan, store, {}))
    assert "119 ± 1 " in text and "70" in text
    (median,) = [line for line in text.splitlines() if line.startswith("  median")]
    assert median.split()[1:] == ["119", "70"]
    assert "3 of 3" in text and "1 of 3" in text


def test_a_recipe_without_a_counterpart_is_a_block_of_its_own_with_all_that_is_to_say(
    store: Store, tmp_path: Path
) -> None:
    from convergan.experiments.figure import write_error_bars

    plan = plan_of(
        TABLES["table1"], recipes=["mnist", "mnist-fast", "mnist-paper"], draws=2, members=1
    )
    done(plan, store, "mnist")
    entry_summaries = summaries(plan, store, {})
    main, separate = grids_of(plan, entry_summaries)
    assert [row.name for row in main.rows if row.is_measured and row.name[0] != " "] == [
        "mnist",
        "mnist-paper",
    ]
    assert any(
        note.startswith("mnist-paper: MNIST with 100 labels exactly as in the authors'")
        for note in main.notes
    )
    assert not any("mnist-fast" in note for note in main.notes)
    # No number of the paper stands beside it.
    rows = ["mnist-fast", "  median", "  draws of labels", "  test images"]
    assert [row.name for row in separate.rows] == rows
    note = separate.notes[0]
    assert (
        "no counterpart among the paper's MNIST experiments, which are permutation-invariant"
        in note
    )
    write_error_bars(tmp_path / "table.svg", plan, entry_summaries)
    text = (tmp_path / "table.svg").read_text()
    assert "<!-- mnist-paper -->" in text and "<!-- mnist-fast -->" not in text
    assert "mnist-fast" in csv_of(plan, entry_summaries)


@pytest.mark.parametrize("table", ["table1", "table2", "svhn", "table3"])
def test_other_images_do_not_stand_beside_the_papers_numbers(
    plan: Callable[..., Plan], store: Store, table: str
) -> None:
    labels = () if table == "table3" else (20, 50)
    digits_plan = plan(table=table, labels=labels, draws=2)
    done(digits_plan, store, "tiny-20")
    (grid,) = grids_of(digits_plan, summaries(digits_plan, store, {}))
    assert grid.title == "tiny, which is not the paper's setting"
    assert "paper" not in "".join([*grid.columns, *(row.name for row in grid.rows)])
    assert "tiny: a recipe from a file: 6 epochs on digits, not the paper's settings" in grid.notes
    if table == "table1":
        assert [row.cells for row in grid.rows if row.name == "  test images"] == [("of 500", "-")]


def test_a_table_of_the_papers_images_says_how_many_were_tested_where_they_are_not_all(
    store: Store,
) -> None:
    plan = plan_of(TABLES["table1"], labels=[50, 100], draws=2, members=1)
    done(plan, store, "mnist-100")
    rows = {row.name: row.cells for row in _main(plan, summaries(plan, store, {})).rows}
    assert rows["  test images"] == ("-", "of 500")
    for cell in plan.cells():
        if store.outcome(cell):
            path = store.cell_folder(cell) / "results.json"
            write_json(path, {**read_json(path), "test_size": 10_000})
    names = [row.name for row in _main(plan, summaries(plan, store, {})).rows]
    assert "  draws of labels" in names and "  test images" not in names


def test_a_changed_preset_is_not_taken_for_the_preset(store: Store, tmp_path: Path) -> None:
    def notes(recipe: str) -> list[str]:
        plan = plan_of(TABLES["table1"], recipes=[recipe], labels=[50], draws=1)
        grid = _main(plan, summaries(plan, store, {}))
        return [note for note in grid.notes if note.startswith("mnist: ")]

    path = tmp_path / "mnist.yaml"
    path.write_text(recipe_to_yaml(replace(PRESETS["mnist"], epochs=2, labels=30)))
    assert notes(str(path)) == [
        "mnist: a recipe from a file, whose settings are not those of the preset of that name; the first"
        " difference: epochs 2 in place of 150"
    ]
    # Numbers of labels, seeds and ensembles are the table's.
    path.write_text(recipe_to_yaml(replace(PRESETS["mnist"], seed=3, labels=30, members=2)))
    assert notes(str(path)) == notes("mnist")


def test_departures_from_the_papers_settings_are_told_as_they_are(store: Store) -> None:
    mnist, authors = PRESETS["mnist"], PRESETS["mnist-paper"]
    rates = [f"{recipe.optimizer.learning_rate:g}".removeprefix("0") for recipe in (mnist, authors)]
    plan = plan_of(TABLES["table1"], labels=[100])
    (note,) = [
        note for note in _main(plan, summaries(plan, store, {})).notes if note.startswith("mnist: ")
    ]
    assert f"{mnist.epochs} epochs in place of the authors' {authors.epochs}" in note
    assert f"a learning rate of {rates[0]} in place of {rates[1]}" in note
    for table, name in (("table2", "cifar10"), ("svhn", "svhn")):
        assert PRESETS[name].optimizer.averaging_start == "weights"
        plan = plan_of(TABLES[table])  # type: ignore[index]
        notes = _main(plan, summaries(plan, store, {})).notes
        assert any(note.startswith(f"{name}: as in the authors' code, except") for note in notes)


def test_draws_that_chose_settings_are_named_and_what_is_left_without_them(store: Store) -> None:
    plan = plan_of(TABLES["table1"], labels=[50, 100], draws=4, members=1)
    done(plan, store, "mnist")
    notes = _main(plan, summaries(plan, store, {})).notes
    # With 100 labels a draw has 40 errors plus its seed; draws of 50 labels chose nothing.
    assert [note for note in notes if "chose" in note] == [
        "mnist, 100 labels: settings were chosen by the test errors of draws 0 and 1; without: 42.5 ± 0.7"
    ]
    one_draw = plan_of(TABLES["table1"], labels=[100], draws=1, members=1)
    notes = _main(one_draw, summaries(one_draw, store, {})).notes
    assert [note for note in notes if "chose" in note] == [
        "mnist, 100 labels: settings were chosen by the test errors of draw 0"
    ]


def test_what_the_deviation_of_ensembles_does_not_hold_is_said(
    plan: Callable[..., Plan], store: Store
) -> None:
    tiny_plan = plan(draws=2, members=2)
    done(tiny_plan, store, "tiny")
    notes = _main(tiny_plan, summaries(tiny_plan, store, {})).notes
    assert (
        "tiny, 20 labels, ensemble of 2: ensembles of neighbouring draws share seeds, but not labels"
        in notes
    )


def test_samples_that_are_not_at_hand_are_not_said_to_be(
    plan: Callable[..., Plan], store: Store, tmp_path: Path
) -> None:
    tiny_plan = plan(table="figures", labels=())
    done(tiny_plan, store, "tiny")
    (row,) = _main(tiny_plan, summaries(tiny_plan, store, {})).rows
    assert row.cells[0] == "trained; its samples are missing"
    (cell,) = tiny_plan.cells()
    image = store.cell_folder(cell) / "samples" / "epoch-006.png"
    image.parent.mkdir()
    image.touch()
    (summary,) = summaries(tiny_plan, store, {})
    assert summary.samples == {0: image}
    assert _main(tiny_plan, [summary]).rows[0].cells[0] == "drawn"


def test_what_is_measured_is_told_with_its_origin(plan: Callable[..., Plan], store: Store) -> None:
    tiny_plan = plan()
    done(tiny_plan, store, "tiny")
    (cell,) = tiny_plan.cells()
    path = store.cell_folder(cell) / "results.json"
    commits = ["b" * 40 + "-dirty", "a" * 40]
    content = {**read_json(path), "baseline_test_errors": 3, "trained_at_commits": commits}
    write_json(path, {**content, "adopted_from": "runs/earlier"})
    entry_summaries = summaries(tiny_plan, store, {})
    provenance = provenance_of(entry_summaries)
    assert "| fp32 | 1 min, with baselines | aaaaaaa bbbbbbb-dirty |" in provenance
    assert "* `-dirty`: files of the code had been changed, and not committed," in provenance
    assert "* tiny, 20 labels: adopted from `runs/earlier`" in provenance
    write_json(path, {**content, "trained_at_commits": commits[1:]})
    assert "-dirty" not in provenance_of(summaries(tiny_plan, store, {}))
    (line,) = [
        line
        for line in csv.DictReader(io.StringIO(csv_of(tiny_plan, entry_summaries)))
        if line["source"] == "measured"
    ]
    assert line["precisions"] == "fp32"


def test_a_failed_cell_is_a_hole_with_its_error(plan: Callable[..., Plan], store: Store) -> None:
    tiny_plan = plan(labels=[20, 50], draws=2)
    done(tiny_plan, store, "tiny-20-seed0")
    name = next(cell.name for cell in tiny_plan.cells() if cell.name.startswith("tiny-50-seed1"))
    entry_summaries = summaries(tiny_plan, store, {name: "loss is not finite | stopped"})
    text = grid_text(tiny_plan, entry_summaries)
    assert "0 of 2, 1 failed" in text and "1 of 2" in text
    assert "tiny, 50 labels, draw 1 failed: loss is not finite | stopped" in text
    markdown = markdown_of(_main(tiny_plan, entry_summaries))
    # A vertical bar would end a cell of the table.
    assert r"loss is not finite \| stopped" in markdown
    assert len({line.count(" | ") for line in markdown.splitlines() if line[:1] == "|"}) == 1


def test_the_csv_has_each_number_of_the_table(plan: Callable[..., Plan], store: Store) -> None:
    tiny_plan = plan(labels=[20, 50], draws=2, members=2)
    done(tiny_plan, store, "tiny-20")
    lines = list(csv.DictReader(io.StringIO(csv_of(tiny_plan, summaries(tiny_plan, store, {})))))
    assert tuple(lines[0]) == CSV_COLUMNS
    measured = [line for line in lines if line["source"] == "measured"]
    assert [(line["labels"], line["models"]) for line in measured] == [
        ("20", "1"), ("50", "1"), ("20", "2"), ("50", "2"),
    ]  # fmt: skip
    single, hole, ensemble, _ = measured
    assert (single["mean"], single["median"], single["values"]) == ("118.5", "118.5", "0:118 1:119")
    assert (hole["mean"], hole["draws"], hole["planned"]) == ("", "0", "2")
    assert ensemble["mean"] == "108.5"
    paper = [line for line in lines if line["row"] == "paper" and line["labels"] == "20"]
    assert (paper[0]["mean"], paper[0]["stdev"]) == ("1677", "452")


def test_shares_are_of_the_test_images(plan: Callable[..., Plan], store: Store) -> None:
    tiny_plan = plan(table="table2", labels=[20])
    done(tiny_plan, store, "tiny-20")
    (summary,) = summaries(tiny_plan, store, {})
    assert summary.number == Number(100 * 118 / 500)
    assert number_text(summary.number, "%") == "23.60"


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
    assert number_text(number, "errors") == text


def test_the_rows_of_table_3_are_variants(
    plan: Callable[..., Plan], tiny: Recipe, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(recipe_to_yaml(replace(tiny, data=DataSettings(source="cifar10"))))
    tiny_plan = plan(table="table3", labels=(), samples=500, recipes=[str(path)])
    real = tiny_plan.entries[0].cells[0]
    content = {"recipe": "tiny", "seed": 0, "score": 9.5, "stdev": 0.25, "sha256": real.sha256}
    write_json(_folder(store.cell_folder(real)) / "results.json", content)
    text = grid_text(tiny_plan, summaries(tiny_plan, store, {}))
    (line,) = [line for line in text.splitlines() if line.startswith("real data")]
    assert line.split("  ")[1:][-3:] == ["11.24 ± 0.12", "9.50 ± 0.25", "1 of 1"]
    (measured,) = [line for line in text.splitlines() if line.startswith("tiny ")]
    assert measured.split()[1:] == ["-", "-", "0", "of", "1"]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_the_figure_has_every_series_and_the_same_bytes_each_time(
    plan: Callable[..., Plan], store: Store, tmp_path: Path
) -> None:
    from convergan.experiments.figure import write_error_bars

    tiny_plan = plan(labels=[20, 50], draws=2)
    done(tiny_plan, store, "tiny-20")
    entry_summaries = summaries(tiny_plan, store, {})
    for name in ("one.svg", "two.svg"):
        write_error_bars(tmp_path / name, tiny_plan, entry_summaries)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    # The paper has no such digits.
    assert "<!-- tiny -->" in text and "<!-- paper -->" not in text
    mnist_plan = plan_of(TABLES["table1"], labels=[20, 50], draws=2, members=1)
    write_error_bars(tmp_path / "mnist.svg", mnist_plan, summaries(mnist_plan, store, {}))
    text = (tmp_path / "mnist.svg").read_text()
    for name in ("paper", "Ladder + PBWN"):
        assert f"<!-- {name} -->" in text
    # Bad GAN has no number in these columns.
    assert "<!-- Bad GAN -->" not in text


def test_what_is_kept_is_enough_when_the_runs_are_gone(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    tiny_plan = plan(draws=2, members=2)
    store = Store(tmp_path / "out", tmp_path / "kept")
    done(tiny_plan, store, "tiny")
    for cell in tiny_plan.cells():
        if cell.needs:
            store.keep("table1", cell)
    elsewhere = Store(tmp_path / "new", tmp_path / "kept")
    entry_summaries = summaries(tiny_plan, elsewhere, {})
    assert [len(summary.values) for summary in entry_summaries] == [0, 2]
    missing = tiny_plan.missing(elsewhere)
    # The ensembles are known: only the single models are missing.
    assert len(missing.targets) == len(missing.cells) == 2


def test_runs_with_the_settings_of_a_cell_are_adopted(
    plan: Callable[..., Plan], store: Store, trained_run: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    file = tmp_path / "quick.yaml"
    file.write_text(recipe_to_yaml(quick_recipe))
    quick_plan = plan(recipes=[str(file)], labels=[100, 50], draws=2)
    runs = tmp_path / "runs"
    shutil.copytree(trained_run, runs / "good")
    damaged, longer = runs / "damaged", runs / "other settings"
    for place in (damaged, longer):
        shutil.copytree(trained_run, place)
    (damaged / "recipe.yaml").write_text("nothing")
    (longer / "recipe.yaml").write_text(recipe_to_yaml(replace(quick_recipe, epochs=4)))
    # The run has a baseline and its own number of threads, which decide nothing.
    lines = adopt(quick_plan, store, [runs], {})
    assert len(lines) == 2
    assert lines[0].startswith(f"not adopted: {damaged / 'recipe.yaml'}: expected ")
    assert lines[1] == f"digits, 100 labels, seed 0: adopted from {runs / 'good'}"
    results = read_json(trained_run / "results.json")
    hundred, fifty = summaries(quick_plan, store, {})
    assert hundred.values == {0: results["test_errors"]} and fifty.values == {}
    assert hundred.outcomes[0].adopted_from == "good"
    assert len(adopt(quick_plan, store, [runs], {})) == 1
    (path,) = store.results.glob("table1/*/results.json")
    content = read_json(path)
    assert content["errors_by_epoch"][-1] == results["test_errors"]
    assert content["adopted_from"] == "good"
    # The settings are the run's own.
    assert content["settings"]["baseline"] is quick_recipe.baseline is True
    manifest = RunFolder(trained_run).read_manifest()
    assert content["data_fingerprint"] == manifest.data.fingerprint
    # Cells that need more than its numbers find the run itself.
    cell = hundred.entry.cells[0]
    assert store.is_usable(cell) and store.cell_folder(cell).resolve() == (runs / "good").resolve()
    with pytest.raises(UserError, match=r"^adopt: expected a folder of runs, got .*absent"):
        adopt(quick_plan, store, [tmp_path / "absent"], {})
    # Kept results count when the run is gone, and its link does not stand in the way of another run.
    shutil.rmtree(runs)
    assert summaries(quick_plan, store, {})[0].values == hundred.values
    assert not store.is_usable(cell)
    store.make_way(cell)
    assert not store.cell_folder(cell).is_symlink()


def test_a_run_on_other_images_is_not_adopted(
    plan: Callable[..., Plan], store: Store, trained_run: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    file = tmp_path / "quick.yaml"
    file.write_text(recipe_to_yaml(quick_recipe))
    quick_plan = plan(recipes=[str(file)], labels=[100])
    images = {images_of(quick_plan.cells()[0].recipe): "0" * 64}
    assert adopt(quick_plan, store, [trained_run], images) == [
        f"not adopted: {trained_run}, which used other images"
    ]
    assert not store.results.exists() and not (store.folder / "cells").exists()


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
def test_damaged_results_are_told_and_nothing_else_is_lost_by_them(
    plan: Callable[..., Plan], store: Store, key: str, value: object, message: str
) -> None:
    tiny_plan = plan(draws=2)
    done(tiny_plan, store, "tiny")
    cell = tiny_plan.cells()[0]
    path = store.cell_folder(cell) / "results.json"
    good = read_json(path)
    write_json(path, {**good, key: value})
    assert store.outcome(cell) is None
    assert re.search(message, store.problems[cell.name])
    # The cell is not computed again over the damaged file; the other cell counts.
    assert tiny_plan.missing(store).cells == {}
    (summary,) = summaries(tiny_plan, store, store.problems)
    assert list(summary.values) == [1] and list(summary.failed) == [0]
    # Kept results count in place of damaged ones.
    write_json(path, good)
    store.keep("table1", cell)
    write_json(path, {**good, key: value})
    outcome = store.outcome(cell)
    assert outcome is not None and outcome.test_errors == good["test_errors"]


def test_cells_of_different_images_are_told_apart(plan: Callable[..., Plan], store: Store) -> None:
    tiny_plan = plan(draws=3)
    done(tiny_plan, store, "tiny")
    for number, cell in enumerate(tiny_plan.cells()):
        path = store.cell_folder(cell) / "results.json"
        write_json(path, {**read_json(path), "data_fingerprint": "ab"[number // 2] * 64})
    (note,) = [n for n in _main(tiny_plan, summaries(tiny_plan, store, {})).notes if "images" in n]
    assert note == (
        "different images of digits: aaaaaaaaaaaa: tiny, 20 labels, draw 0, tiny, 20 labels, draw 1;"
        " bbbbbbbbbbbb: tiny, 20 labels, draw 2"
    )
    images = {images_of(tiny_plan.cells()[0].recipe): "a" * 64}
    with pytest.raises(
        UserError, match=r"^data\.path: expected the images that tiny, .* seed 2 was"
    ):
        require_same_images(images, tiny_plan.cells(), store)
    require_same_images({}, tiny_plan.cells(), store)
