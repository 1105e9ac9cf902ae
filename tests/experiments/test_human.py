"""Inception scores held against a study, model by model."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.experiments.cells import Scoring
from convergan.experiments.human import Study, agreement, read_study, write_scatter
from convergan.experiments.plan import Entry
from convergan.experiments.store import CellOutcome
from convergan.experiments.summary import Summary
from convergan.json_files import write_json
from convergan.recipes.settings import Recipe
from convergan.scoring.settings import ScoreSettings


def scored(scores: Sequence[float]) -> list[Summary]:
    """The summaries of models m0, m1 and so on with these scores."""
    summaries = []
    for number, score in enumerate(scores):
        recipe = Recipe(name=f"m{number}")
        cell = Scoring(recipe=recipe, settings=ScoreSettings())
        summaries.append(
            Summary(
                entry=Entry(row=recipe.name, column="", models=1, cells=(cell,)),
                unit="Inception score",
                values={0: score},
                outcomes={0: CellOutcome(recipe=recipe.name, seed=0, score=score)},
            )
        )
    return summaries


def report(path: Path, rates: Sequence[float | None]) -> Study:
    sets = [
        {"name": f"m{number}", "participants": 20, "error": 0.3, "error_on_generated": rate}
        for number, rate in enumerate(rates)
    ]
    write_json(path, {"title": "a study", "image_sets": sets})
    return read_study(path)


def test_models_that_people_and_scores_rank_alike(tmp_path: Path) -> None:
    study = report(tmp_path / "report.json", [0.1, 0.2, 0.3, 0.5, None])
    result = agreement(scored([2.0, 4.0, 3.0, 8.0, 9.0]), study)
    assert [model.name for model in result.models] == ["m0", "m1", "m2", "m3"]
    assert result.correlation is not None
    assert result.correlation.rho == pytest.approx(0.8)
    assert result.in_words.startswith("how people and the Inception score rank 4 models: ")
    assert "0.80 (1: alike, -1: in reverse), no interval below 10 models, p 0.33" in result.in_words


def test_models_that_people_and_scores_rank_in_reverse(tmp_path: Path) -> None:
    study = report(tmp_path / "report.json", [0.5, 0.3, 0.2, 0.1])
    result = agreement(scored([2.0, 3.0, 4.0, 8.0]), study)
    assert result.correlation is not None and result.correlation.rho == -1
    assert "correlation -1.00 (1: alike, -1: in reverse)" in result.in_words
    assert "rank 4 models alike" not in result.in_words


def test_ten_models_have_an_interval(tmp_path: Path) -> None:
    study = report(tmp_path / "report.json", [0.05 * (1 + number) for number in range(10)])
    result = agreement(scored([*range(1, 9), 10, 9]), study)
    interval = re.search(r"95 % interval (\S+) to (\S+),", result.in_words)
    assert interval and 0.8 < float(interval[1]) < float(interval[2]) <= 1


def test_the_scatter_plot_names_each_model(tmp_path: Path) -> None:
    study = report(tmp_path / "report.json", [0.1, 0.2, 0.3])
    write_scatter(tmp_path / "human.svg", agreement(scored([1.0, 2.0, 3.0]), study))
    text = (tmp_path / "human.svg").read_text()
    assert all(f"<!-- m{number} -->" in text for number in range(3))


def test_a_study_of_other_models_is_refused(tmp_path: Path) -> None:
    study = report(tmp_path / "report.json", [0.1, 0.2])
    with pytest.raises(UserError, match=r"^study: expected a report on at least 3 sets .*got 2"):
        agreement(scored([1.0, 2.0, 3.0]), study)
