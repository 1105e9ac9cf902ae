"""The end of a run: its results are written last."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from convergan.errors import UserError
from convergan.recipes.settings import Recipe
from convergan.runs.results import read_results
from convergan.training.run import RunOptions, train


def test_a_report_that_cannot_be_written_leaves_the_run_unfinished(
    trained_run: Path, quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    run, options = tmp_path / "run", RunOptions(resume=True)
    shutil.copytree(trained_run, run)
    (run / "results.json").unlink()
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(UserError, match=rf"{run / 'report.html'}: expected a regular file"):
        train(quick_recipe, run, options=options, console=quiet)
    assert not (run / "results.json").exists()
    (run / "report.html").rmdir()
    results = train(quick_recipe, run, options=options, console=quiet)
    assert results == read_results(run / "results.json")
    expected = read_results(trained_run / "results.json")
    seconds = {"train_seconds": 0, "seconds_per_epoch": 0}
    assert replace(results, **seconds) == replace(expected, **seconds)
    assert "Error rate" in (run / "report.html").read_text()
