"""A run whose files were damaged or taken from elsewhere goes on from what is good, or says why not."""

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from convergan import cli
from convergan.errors import UserError
from convergan.recipes.files import read_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.epochs import HealthWarning
from convergan.runs.metrics import read_metrics
from convergan.runs.tensor_files import load_tensors
from convergan.training import trainer
from convergan.training.recorder import Recorder
from convergan.training.run import RunOptions, train
from convergan.training.signals import Interrupted
from support import equal_states, synced_paths

TIMES = ("train_seconds", "seconds_per_epoch")


@pytest.fixture
def stopped(
    trained_run: Path, quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run of the recipe of `trained_run`, stopped in its second epoch; two checkpoints are there."""
    out, steps = tmp_path / "run", 0
    recorder = Recorder.steps_done

    def count(self: Recorder, done: int, total: int) -> None:
        nonlocal steps
        steps = done
        recorder(self, done, total)

    original = trainer.LoopOptions
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Recorder, "steps_done", count)
        patch.setattr(
            trainer,
            "LoopOptions",
            lambda **o: original(**{**o, "stop_requested": lambda: steps >= 18}),
        )
        train(
            quick_recipe,
            out,
            options=RunOptions(checkpoint_every_seconds=0),
            console=Console(quiet=True),
        )
    assert len(list((out / "checkpoints").iterdir())) == 2
    assert [line.epoch for line in read_metrics(out / "metrics.jsonl")] == [1]
    return out


def resumed(out: Path, recipe: Recipe) -> str:
    """The console's text of a run that is resumed to its end."""
    console = Console(record=True, width=1000, file=io.StringIO())
    train(recipe, out, options=RunOptions(resume=True), console=console)
    return console.export_text()


def warnings_of(out: Path) -> list[HealthWarning]:
    return [warning for line in read_metrics(out / "metrics.jsonl") for warning in line.warnings]


def require_same_result(out: Path, reference: Path) -> None:
    for name in ("classifier", "generator"):
        files = [folder / "model" / f"{name}.safetensors" for folder in (out, reference)]
        assert equal_states(load_file(files[0]), load_file(files[1]))
    lines = [
        [
            {key: value for key, value in line.as_json().items() if key not in (*TIMES, "warnings")}
            for line in read_metrics(folder / "metrics.jsonl")
        ]
        for folder in (out, reference)
    ]
    assert lines[0] == lines[1]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning_that_stays(
    stopped: Path, trained_run: Path, quick_recipe: Recipe
) -> None:
    older, newest = sorted((stopped / "checkpoints").iterdir())
    flip_a_bit(newest)
    output = resumed(stopped, quick_recipe)
    assert f"warning epoch 2: {newest}: expected a checkpoint, got a damaged file" in output
    assert output.count("damaged file") == 1
    (warning,) = warnings_of(stopped)
    assert warning.kind == "checkpoint" and warning.epoch == 2
    assert f"continues from {older.name}" in warning.advice
    assert "damaged file" in (stopped / "report.html").read_text()
    assert (stopped / "checkpoints" / f"unusable-{newest.name}").exists()
    require_same_result(stopped, trained_run)


def test_a_warning_outlives_a_kill_in_the_same_epoch(
    stopped: Path, quick_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, newest = sorted((stopped / "checkpoints").iterdir())
    flip_a_bit(newest)

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Recorder, "steps_done", kill)
        resumed(stopped, quick_recipe)
    resumed(stopped, quick_recipe)
    assert [warning.kind for warning in warnings_of(stopped)] == ["checkpoint"]


def test_all_damaged_is_one_line(stopped: Path, quick_recipe: Recipe) -> None:
    for path in (stopped / "checkpoints").iterdir():
        flip_a_bit(path)
    paths = sorted(stopped.rglob("*"))
    with pytest.raises(
        UserError, match=r"got a damaged file .*; the older one cannot be used either$"
    ):
        resumed(stopped, quick_recipe)
    assert sorted(stopped.rglob("*")) == paths


def test_a_checkpoint_of_another_run_is_named(
    stopped: Path, trained_run: Path, quick_recipe: Recipe, tmp_path: Path, quiet: Console
) -> None:
    train(replace(quick_recipe, seed=1), tmp_path / "other", console=quiet)
    (*_, other_checkpoint) = sorted((tmp_path / "other" / "checkpoints").iterdir())
    shutil.copy(other_checkpoint, stopped / "checkpoints")
    output = resumed(stopped, quick_recipe)
    assert "expected a checkpoint of this run, got one of another recipe" in output
    require_same_result(stopped, trained_run)
    shutil.rmtree(stopped / "checkpoints")
    (stopped / "results.json").unlink()
    (stopped / "checkpoints").mkdir()
    shutil.copy(other_checkpoint, stopped / "checkpoints")
    with pytest.raises(UserError, match=r"got one of another recipe$"):
        resumed(stopped, quick_recipe)


def test_a_checkpoint_of_another_network_is_one_line(stopped: Path, quick_recipe: Recipe) -> None:
    """Run of 0.1.0 noted no origin, so that only the shapes tell that the recipe was changed by hand."""
    for path in (stopped / "checkpoints").iterdir():
        tensors, metadata = load_tensors(path)
        save_file(tensors, path, metadata={"skeleton": metadata["skeleton"]})
    manifest = json.loads((stopped / "manifest.json").read_text())
    del manifest["recipe_sha256"]
    (stopped / "manifest.json").write_text(json.dumps(manifest))
    text = (stopped / "recipe.yaml").read_text()
    (stopped / "recipe.yaml").write_text(text.replace("  - 60\n", "  - 61\n"))
    changed = read_recipe(stopped / "recipe.yaml")
    with pytest.raises(UserError, match=r"a checkpoint of this recipe's networks, got .*size mis"):
        resumed(stopped, changed)


def test_a_run_whose_files_name_no_recipe_goes_on(
    stopped: Path, trained_run: Path, quick_recipe: Recipe
) -> None:
    for path in (stopped / "checkpoints").iterdir():
        tensors, metadata = load_tensors(path)
        save_file(tensors, path, metadata={"skeleton": metadata["skeleton"]})
    manifest = json.loads((stopped / "manifest.json").read_text())
    noted = manifest.pop("recipe_sha256")
    (stopped / "manifest.json").write_text(json.dumps(manifest, indent=2))
    resumed(stopped, quick_recipe)
    require_same_result(stopped, trained_run)
    assert json.loads((stopped / "manifest.json").read_text())["recipe_sha256"] == noted


def test_a_recipe_changed_by_hand_is_refused(stopped: Path) -> None:
    text = (stopped / "recipe.yaml").read_text()
    (stopped / "recipe.yaml").write_text(text.replace("epochs: 3\n", "epochs: 4\n"))
    with pytest.raises(UserError, match="got one that was changed since"):
        resumed(stopped, read_recipe(stopped / "recipe.yaml"))


def test_damaged_metrics_are_told_and_the_good_lines_stay(
    stopped: Path, quick_recipe: Recipe
) -> None:
    metrics = stopped / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes().replace(b"{", b"\xff", 1))
    output = resumed(stopped, quick_recipe)
    assert "warning epoch 2" in output and "got no epoch 1 and a damaged line 1" in output
    assert [line.epoch for line in read_metrics(metrics)] == [2, 3]
    assert [warning.kind for warning in warnings_of(stopped)] == ["metrics"]


def test_metrics_are_on_the_disk_before_a_checkpoint_that_counts_on_them(
    quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = synced_paths(monkeypatch)
    train(replace(quick_recipe, epochs=1), tmp_path / "run", console=Console(quiet=True))
    names = [path.name for path in synced]
    assert names.index("metrics.jsonl") < names.index("step-000000013.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda out: (out / "manifest.json").write_bytes(b"\xff"),
            "manifest.json: expected the manifest",
        ),
        (lambda out: (out / "manifest.json").write_text("[]"), "the manifest of a run"),
        (lambda out: (out / "results.json").write_text("{}"), "the results of a run"),
        (
            lambda out: (out / "metrics.jsonl").unlink() or (out / "metrics.jsonl").mkdir(),
            "metrics",
        ),
        (lambda out: (out / "recipe.yaml").write_text("seed: [\n"), "recipe.yaml: expected"),
    ],
)
def test_damage_of_small_files_is_one_line_of_the_command(
    stopped: Path,
    trained_run: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    message: str,
) -> None:
    damage(stopped)
    recipe = str(trained_run / "recipe.yaml")
    assert cli.main(["train", "--from", recipe, "--out", str(stopped), "--resume"]) == 1
    error_output = capsys.readouterr().err
    assert message in error_output and error_output.count("\n") == 1


def test_two_commands_never_train_in_one_folder(
    stopped: Path,
    quick_recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second command starts while the first one trains."""
    original, refused = Recorder.epoch_ended, []

    def resume_during_training(self: Recorder, *arguments: Any) -> None:
        try:
            resumed(stopped, quick_recipe)
        except UserError as error:
            refused.append(str(error))
        original(self, *arguments)

    monkeypatch.setattr(Recorder, "epoch_ended", resume_during_training)
    resumed(stopped, quick_recipe)
    assert len(refused) == 2
    assert all(f"{stopped}: expected a run that no other process" in message for message in refused)
    assert [line.epoch for line in read_metrics(stopped / "metrics.jsonl")] == [1, 2, 3]


def fill_up(disk: Path) -> None:
    """Leaves room for small files, and for no checkpoint."""
    room = os.statvfs(disk)
    (disk / "other").write_bytes(bytes(room.f_bavail * room.f_frsize - 50_000))


def test_a_disk_that_fills_up_ends_in_one_line_and_the_run_goes_on_later(
    quick_recipe: Recipe,
    trained_run: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, original = small_disk / "run", Recorder.epoch_ended

    def fill(self: Recorder, *arguments: Any) -> None:
        original(self, *arguments)
        fill_up(small_disk)

    options = RunOptions(checkpoint_every_seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "epoch_ended", fill)
        with pytest.raises(
            UserError, match=rf"^{out}/checkpoints/step-\d+.*: expected to write .*No"
        ):
            train(quick_recipe, out, options=options, console=Console(quiet=True))
    (small_disk / "other").unlink()
    assert not list(small_disk.rglob("*aside*"))
    newest = load_newest_checkpoint(out / "checkpoints")
    assert newest is not None and newest.state["step"] == 12
    resumed(out, quick_recipe)
    require_same_result(out, trained_run)


def test_a_disk_that_is_full_from_the_start_leaves_no_run(
    quick_recipe: Recipe, small_disk: Path
) -> None:
    fill_up(small_disk)
    with pytest.raises(
        UserError, match=r"step-000000000.safetensors: expected to write [\d.]+ [kM]B"
    ):
        train(quick_recipe, small_disk / "new" / "run", console=Console(quiet=True))
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_a_failure_before_the_first_checkpoint_leaves_no_run(
    quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(trainer, "fit", no_memory)
        train(quick_recipe, tmp_path / "new" / "run", console=Console(quiet=True))
    assert list(tmp_path.iterdir()) == []
    train(replace(quick_recipe, epochs=1), tmp_path / "new" / "run", console=Console(quiet=True))
