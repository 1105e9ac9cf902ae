"""Resume: killed at any moment, a run ends with the very weights of one that was never interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console
from safetensors.torch import load_file

from convergan.errors import UserError
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import HistoricalAveragingSettings
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.metrics import read_metrics
from convergan.training import noise, run_models
from convergan.training.checkpointing import Interrupted
from convergan.training.recorder import Recorder
from convergan.training.run import RunOptions, train
from support import equal_states


@pytest.fixture(scope="module")
def recipe(quick_recipe: Recipe) -> Recipe:
    """A recipe with all that a checkpoint must hold: averages, historical means, validation, a baseline."""
    return replace(
        quick_recipe,
        data=replace(quick_recipe.data, validation_share=0.2),
        objective=quick_recipe.objective.with_term(HistoricalAveragingSettings(weight=1e-3)),
        optimizer=replace(quick_recipe.optimizer, decay_from=0.5),
    )


@pytest.fixture(scope="module")
def uninterrupted(recipe: Recipe, quiet: Console, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("resume") / "whole"
    train(recipe, out, console=quiet)
    return out


def require_same_run(run: Path, reference: Path) -> None:
    """Weights, optimizers, averages, random streams and metrics; time alone may differ."""
    for name in ("classifier", "generator"):
        files = [folder / "model" / f"{name}.safetensors" for folder in (run, reference)]
        assert equal_states(load_file(files[0]), load_file(files[1])), name
    states = []
    for folder in (run, reference):
        newest = load_newest_checkpoint(folder / "checkpoints")
        assert newest is not None
        states.append({key: value for key, value in newest[1].items() if key != "train_seconds"})
    assert equal_states(*states)
    timed = ("train_seconds", "seconds_per_epoch")
    lines = [
        [
            {key: value for key, value in line.as_json().items() if key not in timed}
            for line in read_metrics(path)
        ]
        for path in (run / "metrics.jsonl", reference / "metrics.jsonl")
    ]
    assert lines[0] == lines[1]
    assert [line["epoch"] for line in lines[0]] == [1, 2, 3]


StopAfter = Callable[[int], None]


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> StopAfter:
    """Make every training stop after so many steps, as Ctrl-C does; 0 lets it go on to its end."""
    done, limit = 0, 0

    @contextmanager
    def as_wanted() -> Iterator[Callable[[], bool]]:
        yield lambda: bool(limit) and done >= limit

    original = Recorder.steps_done

    def count(self: Recorder, steps: int, total: int) -> None:
        nonlocal done
        done = steps
        original(self, steps, total)

    def want(steps: int) -> None:
        nonlocal done, limit
        done, limit = 0, steps

    monkeypatch.setattr(run_models, "stop_on_signals", as_wanted)
    monkeypatch.setattr(Recorder, "steps_done", count)
    return want


def train_with_stops(
    recipe: Recipe, out: Path, stops: Sequence[int], stop_after: StopAfter
) -> None:
    for stop in stops:
        stop_after(stop)
        with pytest.raises(Interrupted):
            train(recipe, out, options=RunOptions(resume=True), console=Console(quiet=True))
        newest = load_newest_checkpoint(out / "checkpoints")
        assert newest is not None and newest[1]["step"] == stop
    stop_after(0)
    train(recipe, out, options=RunOptions(resume=True), console=Console(quiet=True))


@pytest.mark.parametrize("stops", [[1], [5, 6], [13], [20, 30, 38]])
def test_interrupted_between_any_two_steps(
    recipe: Recipe, uninterrupted: Path, tmp_path: Path, stop_after: StopAfter, stops: list[int]
) -> None:
    """13 steps an epoch: within the first and later epochs, and at the border of two."""
    train_with_stops(recipe, tmp_path / "run", stops, stop_after)
    require_same_run(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize("kind", ["digits", "photographs"])
def test_views_are_drawn_as_they_would_have_been(
    recipe: Recipe, tmp_path: Path, stop_after: StopAfter, kind: Literal["digits", "photographs"]
) -> None:
    augmentation = AugmentationSettings(kind=kind, rotation=15)
    recipe = replace(
        recipe, data=replace(recipe.data, flip=True), augmentation=augmentation, batch_size=400
    )
    # Four steps an epoch.
    for name, stops in (("whole", []), ("parts", [3, 6])):
        train_with_stops(recipe, tmp_path / name, stops, stop_after)
    require_same_run(tmp_path / "parts", tmp_path / "whole")


def test_noise_is_drawn_anew_where_it_would_have_been(
    recipe: Recipe, tmp_path: Path, stop_after: StopAfter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two fillings of the bank, and right before one."""
    monkeypatch.setattr(noise, "STEPS_OF_NOISE", 7)
    for name, stops in (("whole", []), ("parts", [10, 21])):
        train_with_stops(recipe, tmp_path / name, stops, stop_after)
    require_same_run(tmp_path / "parts", tmp_path / "whole")


def test_killed_and_resumed_bit_for_bit(
    recipe: Recipe, uninterrupted: Path, quiet: Console, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [
        sys.executable, "-m", "convergan.cli", "train", "--from",
        str(uninterrupted / "recipe.yaml"), "--out", str(out), "--checkpoint-every-seconds", "0",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        # In the middle of the second epoch, whatever it is doing then.
        if len(read_metrics(out / "metrics.jsonl")) >= 1:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
    newest = load_newest_checkpoint(out / "checkpoints")
    assert newest is not None and 0 < newest[1]["step"] < 39
    assert not (out / "results.json").exists()
    train(recipe, out, options=RunOptions(resume=True), console=quiet)
    require_same_run(out, uninterrupted)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    command = [
        sys.executable, "-m", "convergan.cli", "train", "--from",
        str(uninterrupted / "recipe.yaml"), "--epochs", "5000", "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not read_metrics(out / "metrics.jsonl"):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "--resume" in errors and "Traceback" not in errors
    newest = load_newest_checkpoint(out / "checkpoints")
    assert newest is not None and newest[1]["step"] > 0


def test_a_finished_run_is_not_trained_again(
    recipe: Recipe, uninterrupted: Path, quiet: Console
) -> None:
    mtime_ns = (uninterrupted / "results.json").stat().st_mtime_ns
    train(recipe, uninterrupted, options=RunOptions(resume=True), console=quiet)
    assert (uninterrupted / "results.json").stat().st_mtime_ns == mtime_ns


def test_other_images_are_refused_on_resume(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convergan.training import preparation

    train(quick_recipe, tmp_path / "run", console=quiet)
    (tmp_path / "run" / "results.json").unlink()
    opened = preparation.open_data_set
    monkeypatch.setattr(
        preparation,
        "open_data_set",
        lambda *args, **options: replace(opened(*args, **options), fingerprint="0" * 64),
    )
    with pytest.raises(UserError, match=r"expected the images that .* was begun with"):
        train(quick_recipe, tmp_path / "run", options=RunOptions(resume=True), console=quiet)


@pytest.mark.parametrize(
    ("begun", "message"),
    [
        ({"accelerator": "cuda"}, "hardware.accelerator: expected cuda .* got cpu"),
        ({"processes": 4}, "hardware.devices: expected 4 .* got 1"),
        (
            {"epoch_order": None, "git_commit": "c" * 40},
            "order of these versions, got one begun by convergan [0-9.]+, numpy [0-9.]+, commit c{12};",
        ),
        (
            {"epoch_order": "0" * 16, "git_commit": None},
            "begun by convergan [0-9.]+, numpy [0-9.]+; finish it with those",
        ),
    ],
)
def test_another_machine_or_order_is_refused_on_resume(
    uninterrupted: Path,
    recipe: Recipe,
    quiet: Console,
    tmp_path: Path,
    begun: dict[str, object],
    message: str,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    (run / "results.json").unlink()
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, **begun}))
    with pytest.raises(UserError, match=message):
        train(recipe, run, options=RunOptions(resume=True), console=quiet)


def test_the_manifest_notes_who_resumed(
    uninterrupted: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    (run / "results.json").unlink()
    train(recipe, run, options=RunOptions(resume=True), console=quiet)
    (process,) = json.loads((run / "manifest.json").read_text())["resumed"]
    assert process["versions"]["torch"] and process["accelerator"] == "cpu"
    require_same_run(run, uninterrupted)


def test_what_a_kill_left_half_written_is_in_nobodys_way(
    recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    """Killed in the write of the very first file: the folder counts as new."""
    half = tmp_path / "run" / ".aside-abc-recipe.yaml"
    half.parent.mkdir()
    half.write_text("half")
    train(replace(recipe, epochs=1), tmp_path / "run", console=quiet)
    assert not half.exists()
