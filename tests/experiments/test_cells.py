"""A cell's name holds exactly what decides its result, so that nothing is trained twice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convergan.errors import UserError
from convergan.experiments.cells import Ensemble, Scoring, Training, with_draw, with_needs
from convergan.experiments.plan import REAL, Plan, plan_of
from convergan.experiments.tables import TABLES
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe

MNIST = replace(PRESETS["mnist"], seed=3)


def cell_name(recipe: Recipe) -> str:
    return Training(recipe=recipe).name


@pytest.mark.parametrize(
    "recipe",
    [
        replace(MNIST, data=replace(MNIST.data, path=Path("/elsewhere"), cache=Path("/cache"))),
        replace(MNIST, hardware=HardwareSettings(threads=7)),
        replace(MNIST, hardware=HardwareSettings(members="apart")),
        # The baseline has random numbers of its own.
        replace(MNIST, baseline=False),
        replace(MNIST, data=replace(MNIST.data, split_seed=3)),
    ],
    ids=["places", "threads", "members", "baseline", "its own draw"],
)
def test_what_decides_no_result_changes_no_name(recipe: Recipe) -> None:
    assert cell_name(recipe) == cell_name(MNIST)


@pytest.mark.parametrize(
    "recipe",
    [
        replace(MNIST, labels=50),
        replace(MNIST, seed=4),
        replace(MNIST, epochs=149),
        replace(MNIST, data=replace(MNIST.data, split_seed=4)),
        replace(MNIST, optimizer=replace(MNIST.optimizer, learning_rate=2e-3)),
        replace(MNIST, hardware=HardwareSettings(precision="bf16")),
    ],
    ids=["labels", "seed", "epochs", "draw", "rate", "precision"],
)
def test_what_decides_the_result_is_in_the_name(recipe: Recipe) -> None:
    assert cell_name(recipe) != cell_name(MNIST)


def test_the_baseline_of_a_comparison_decides_what_time_the_others_have() -> None:
    folder = PRESETS["folder"]
    assert folder.baseline and folder.minutes
    assert cell_name(folder) != cell_name(replace(folder, baseline=False))


def test_an_ensemble_shares_a_draw_and_its_first_member_with_the_single_model() -> None:
    plan = plan_of(TABLES["table1"], labels=[20], draws=2, members=3)
    single, ensembles = plan.entries
    for draw, (model, ensemble) in enumerate(zip(single.cells, ensembles.cells, strict=True)):
        assert isinstance(ensemble, Ensemble)
        assert ensemble.members[0].name == model.name
        assert [member.draw for member in ensemble.members] == [draw] * 3
        assert [member.recipe.seed for member in ensemble.members] == [draw, draw + 1, draw + 2]
    # 2 single models, 2 more members for each draw, 2 ensembles.
    assert len({cell.name for cell in plan.cells()}) == len(plan.cells()) == 2 + 2 * 2 + 2


def test_what_is_needed_comes_first_and_single_models_before_ensembles() -> None:
    plan = plan_of(TABLES["table1"], draws=2, members=2)
    cells = plan.cells()
    places = {cell.name: place for place, cell in enumerate(cells)}
    assert all(places[need.name] < places[cell.name] for cell in cells for need in cell.needs)
    singles = [cell.recipe.labels for cell in cells[:8]]
    assert singles == [20, 50, 100, 200] * 2


def test_the_tables_are_the_papers() -> None:
    table1 = plan_of(TABLES["table1"])
    assert [entry.column for entry in table1.entries[:4]] == ["20", "50", "100", "200"]
    assert {len(entry.cells) for entry in table1.entries} == {10}
    assert {entry.models for entry in table1.entries} == {1, 10}
    assert len(plan_of(TABLES["table2"]).entries) == 8
    assert len(plan_of(TABLES["svhn"]).entries) == 6


def test_the_rows_of_table_3_are_the_papers() -> None:
    table = TABLES["table3"]
    assert set(table.recipes) <= set(PRESETS)
    plan = plan_of(table)
    (paper,) = table.published
    assert [entry.row for entry in plan.entries] == list(paper.numbers)
    # Samples of each are scored once, at the paper's number.
    scored = [cell for entry in plan.entries for cell in entry.cells]
    assert all(isinstance(cell, Scoring) and cell.settings.count == 50_000 for cell in scored)


def test_scores_are_of_real_images_and_of_one_training_each(tiny_file: Path) -> None:
    plan = plan_of(TABLES["table3"], recipes=[str(tiny_file)], samples=500)
    real, generated = plan.entries
    assert real.row == REAL and generated.row == "tiny"
    (real_cell,), (model_cell,) = real.cells, generated.cells
    assert isinstance(model_cell, Scoring) and model_cell.needs[0].name == model_cell.training.name
    assert real_cell.needs == ()
    changes: dict[str, Any] = {
        **{"count": 501, "protocol": "shuffled", "splits": 5, "split_seed": 1, "seed": 1},
        **{"precision": "bf16", "pixel_range": (0, 1)},
    }
    for field, value in changes.items():
        settings = replace(model_cell.settings, **{field: value})
        assert Scoring(recipe=model_cell.recipe, settings=settings).name != model_cell.name, field
        real_one = Scoring(recipe=real_cell.recipe, settings=settings, real=True)
        assert (real_one.name == real_cell.name) == (field == "count"), field
    silent = replace(model_cell.settings, intervals=False)
    assert Scoring(recipe=model_cell.recipe, settings=silent).name == model_cell.name
    assert with_needs([model_cell])[0] == model_cell.training


def test_a_folder_for_each_source_is_found_in_the_folder_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    placed = plan_of(TABLES["table1"], data=tmp_path, draws=1, members=1).entries[0].cells[0]
    assert placed.recipe.data.path == tmp_path / "mnist"
    plain = plan_of(TABLES["table2"], data=tmp_path, draws=1, members=1).entries[0].cells[0]
    assert plain.recipe.data.path == tmp_path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": [20, 20]}, "labels: expected each once, got one twice"),
        ({"table": "table3", "labels": [20]}, "labels: expected none for table3, got 20"),
        ({"table": "figures", "members": 3}, "members: expected 1 for figures, got 3"),
        ({"recipes": ["mnits"]}, "recipe: expected a Recipe or one of"),
        ({"recipes": ["absent.yaml"]}, "absent.yaml: expected a recipe.yaml, got"),
    ],
)
def test_what_a_table_has_not_is_refused(
    plan: Callable[..., Plan], settings: dict[str, object], message: str
) -> None:
    if "table" in settings:
        settings = {"labels": (), **settings}
    with pytest.raises(UserError, match=f"^{message}"):
        plan(**settings)


def test_two_recipes_of_one_name_cannot_be_told_apart(
    plan: Callable[..., Plan], tiny: Recipe, tmp_path: Path
) -> None:
    for number in range(2):
        text = recipe_to_yaml(replace(tiny, epochs=1 + number))
        (tmp_path / f"{number}.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^recipes: expected names that differ, got tiny twice$"):
        plan(recipes=[str(tmp_path / f"{number}.yaml") for number in range(2)])


def test_a_cell_has_one_process(plan: Callable[..., Plan], tiny: Recipe, tmp_path: Path) -> None:
    text = recipe_to_yaml(replace(tiny, hardware=HardwareSettings(devices=2)))
    (tmp_path / "two.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^hardware\.devices: expected 1 in tiny, .* got 2$"):
        plan(recipes=[str(tmp_path / "two.yaml")])


def test_a_draw_keeps_the_labels_of_a_recipe_that_a_table_sets_none_for() -> None:
    assert with_draw(MNIST, labels=None, draw=0).recipe.labels == MNIST.labels
