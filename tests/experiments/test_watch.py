"""Progress of cells, and the time that is left, as the metrics of their trainings say."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from convergan.experiments.cells import Ensemble, Scoring, Training
from convergan.experiments.display import Display, Running
from convergan.experiments.plan import Plan
from convergan.experiments.store import Store
from convergan.experiments.watch import CellDurations, Standing, last_line, standing
from convergan.runs.epochs import EpochLine
from convergan.runs.metrics import append_metrics
from convergan.scoring.settings import ScoreSettings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out", tmp_path / "kept")


@pytest.fixture
def cell(plan: Callable[..., Plan]) -> Training:
    (training,) = plan().cells()
    assert isinstance(training, Training)
    return training


def epoch_ends(store: Store, cell: Training, epoch: int, seconds: float) -> Path:
    folder = store.cell_folder(cell)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "metrics.jsonl"
    append_metrics(path, EpochLine(epoch=epoch, seconds_per_epoch=seconds))
    return path


def test_the_last_epoch_says_how_far_a_training_is(store: Store, cell: Training) -> None:
    assert standing(store, cell) == Standing(epochs=6)
    for epoch in (1, 2):
        path = epoch_ends(store, cell, epoch, 5.0)
    progress = standing(store, cell)
    assert progress == Standing(epochs_done=2, epochs=6, seconds_per_epoch=5.0)
    assert progress is not None and progress.seconds_left == 20
    # A line that is still being written does not count.
    with path.open("a") as file:
        file.write(json.dumps({"epoch": 3})[:6])
    assert standing(store, cell) == progress


def test_an_epoch_of_unknown_duration_tells_no_time(store: Store, cell: Training) -> None:
    epoch_ends(store, cell, 1, float("nan"))
    progress = standing(store, cell)
    assert progress is not None and (progress.epochs_done, progress.seconds_left) == (1, None)


def test_there_may_be_no_metrics_or_damaged_ones(tmp_path: Path) -> None:
    assert last_line(tmp_path / "metrics.jsonl") is None
    (tmp_path / "metrics.jsonl").write_text("nothing\n")
    assert last_line(tmp_path / "metrics.jsonl") is None


def test_what_is_left_is_known_from_another_cell_of_the_recipe_or_from_timed_steps(
    cell: Training,
) -> None:
    left = CellDurations()
    assert left.seconds(cell, None) is None
    left.add_timing(cell, 120.0)
    assert left.seconds(cell, None) == 120
    assert left.seconds(cell, Standing(epochs_done=3, epochs=6)) == 60
    left.observe(cell, Standing(epochs_done=1, epochs=6, seconds_per_epoch=10.0))
    assert left.seconds(cell, None) == 60


def test_the_duration_of_a_score_is_that_of_another_one_of_its_kind(cell: Training) -> None:
    settings = ScoreSettings(metrics=("is",))
    samples, real = (
        Scoring(recipe=cell.recipe, settings=settings, real=real) for real in (False, True)
    )
    left = CellDurations()
    left.add_timing(cell, 120.0)
    assert left.seconds(samples, None) is None and left.seconds(real, None) is None
    left.add_timing(samples, 60.0)
    another_recipe = replace(cell.recipe, name="another", seed=5)
    assert left.seconds(Scoring(recipe=another_recipe, settings=settings), None) == 60
    assert left.seconds(real, None) is None and left.seconds(cell, None) == 120
    assert left.seconds(Ensemble(members=(cell,)), None) == 0


def test_a_terminal_has_a_line_for_each_running_cell(cell: Training) -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    progress = Standing(epochs_done=2, epochs=6, seconds_per_epoch=60.0)
    with Display(console, total=4) as display:
        display.tell("tiny, 20 labels, seed 1: 70 errors")
        running = [Running(title=cell.title, standing=progress, seconds_left=240.0)]
        display.update(running, done=1, seconds_left=600.0)
    output = text.getvalue()
    assert "tiny, 20 labels, seed 1: 70 errors" in output
    assert "tiny, 20 labels, seed 0" in output and "2/6" in output and "4 min" in output
    assert "1 of 4 done, 1 running, about 10 min left" in output


def test_a_log_has_a_line_a_minute(cell: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("convergan.progress_bar.time.monotonic", lambda: now[0])
    text = io.StringIO()
    running = [Running(title=cell.title, standing=Standing(epochs=6), seconds_left=None)]
    with Display(Console(file=text, width=80), total=2) as display:
        for _ in range(13):
            now[0] += 10
            display.update(running, done=0, seconds_left=None)
    assert (
        text.getvalue().splitlines() == ["0 of 2 done, 1 running; tiny, 20 labels, seed 0 0/6"] * 2
    )
