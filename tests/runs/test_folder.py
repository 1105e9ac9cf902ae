"""The run folder: begun once, resumed with its own recipe alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import append_metrics, keep_metrics, read_metrics

RECIPE = PRESETS["digits"]


def test_begun_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.begin(RECIPE, resume=False)
    with pytest.raises(UserError, match=r"expected a new or empty folder, got a run; --resume"):
        folder.begin(RECIPE, resume=False)
    folder.begin(RECIPE, resume=True)


def test_resume_starts_what_is_not_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=True)
    assert folder.recipe.exists()


def test_a_changed_recipe_is_refused_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, resume=False)
    changed = replace(RECIPE, optimizer=replace(RECIPE.optimizer, learning_rate=0.1))
    with pytest.raises(UserError, match=r"optimizer.learning_rate: expected 0.003 .*got 0.1"):
        folder.begin(changed, resume=True)
    moved = replace(
        RECIPE,
        data=replace(RECIPE.data, cache=tmp_path, resident_mb=1),
        hardware=replace(RECIPE.hardware, threads=3),
    )
    folder.begin(moved, resume=True)


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"expected a new or empty folder, got something else"):
        RunFolder(tmp_path).begin(RECIPE, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_metrics_survive_a_cut_off_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for epoch in (1, 2, 3):
        append_metrics(path, {"epoch": epoch, "losses": {"a": float("nan") if epoch == 2 else 1.0}})
    assert read_metrics(path)[1]["losses"]["a"] is None
    path.write_text(path.read_text()[:-5])
    assert [line["epoch"] for line in read_metrics(path)] == [1, 2]
    assert [line["epoch"] for line in keep_metrics(path, 1)] == [1]
    assert [line["epoch"] for line in read_metrics(path)] == [1]
    assert keep_metrics(tmp_path / "new.jsonl", 0) == []


def test_looking_at_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    RunFolder(tmp_path / "deep" / "run").require_place(resume=False)
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty").require_place(resume=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="nothing can be made in /proc")
@pytest.mark.parametrize("out", ["/proc/run", "bad\udcff/run"])
def test_a_place_that_cannot_be_made(tmp_path: Path, out: str) -> None:
    with pytest.raises(UserError, match=r"^out: expected a folder that can be made, got ") as error:
        RunFolder(tmp_path / out).require_place(resume=True)
    assert "\n" not in str(error.value) and str(error.value).isascii()
