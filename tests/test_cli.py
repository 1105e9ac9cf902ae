"""The command line: quick help, one-line errors, exit codes."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import convergan
from convergan.cli import main

COMMAND = [sys.executable, "-m", "convergan.cli"]


def run(*words: str, columns: int = 80) -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=240, env=environment
    )


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command that fails prints."""
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1 and shown.err.startswith("convergan: ")
    return shown.err


@pytest.mark.parametrize("words", [("--help",), ("train", "--help")])
def test_help_is_instant(words: tuple[str, ...]) -> None:
    # Processor time: on a busy machine the clock on the wall tells of other programs.
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0
    assert min(seconds) < 0.5
    assert "train" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("module", ["convergan", "convergan.cli"])
def test_importing_needs_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_load() -> None:
    for name in convergan.__all__:
        assert getattr(convergan, name) is not None
    assert set(convergan.__all__) <= set(dir(convergan))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = convergan.nonsense


def test_every_recipe_explains_its_settings() -> None:
    done = run("train", "mnist", "--help")
    assert done.returncode == 0
    for setting in (
        "--labels",
        "--data.path",
        "--networks.hidden",
        "--optimizer.epsilon",
        "--resume",
    ):
        assert setting in done.stdout
    assert "as in Section 6.1" in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"convergan {convergan.__version__}\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("train", "digits", "--labels", "many"), ["--labels", "INT", "'many'"]),
        (("train", "digits", "--labels", "0"), ["labels: expected 1 or more, got 0"]),
        (("train", "digits", "--colour", "3"), ["--colour"]),
        (("train", "minst"), ["minst"]),
        (("train",), ["digits", "mnist", "folder"]),
        (("train", "--from", "absent.yaml"), ["absent.yaml: expected a recipe.yaml"]),
        (("train", "--from"), ["from: expected the path of a recipe.yaml"]),
        (("predict", "absent-run", "."), ["absent-run: expected a run folder"]),
        (
            ("sample", "absent-run", "--count", "2", "--out", "x"),
            ["absent-run: expected a run folder"],
        ),
        (("train", "folder", "--data.path", "absent"), ["absent"]),
        (
            ("train", "digits", "--labels", "7"),
            ["labels: expected at least one for each of 10 classes"],
        ),
        (("train", "digits", "--labels", "5000"), ["labelled images of class '0'", "5000"]),
    ],
)
def test_errors_are_one_line_that_names_the_argument(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    message = failed(capsys, *words)
    for part in parts:
        assert part in message
    assert not (tmp_path / "x").exists()


def test_a_mistake_in_the_labels_leaves_no_run_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    failed(capsys, "train", "digits", "--labels", "5000", "--out", str(out))
    assert not out.exists()


def test_debug_shows_where_it_came_from() -> None:
    done = run("predict", "absent-run", ".", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr and "UserError" in done.stderr


def test_train_from_a_recipe_repeats_the_run(trained_run: Path, tmp_path: Path) -> None:
    done = run(
        "train", "--from", str(trained_run / "recipe.yaml"), "--out", str(tmp_path / "again")
    )
    assert done.returncode == 0, done.stderr
    results = [
        json.loads((folder / "results.json").read_text())
        for folder in (trained_run, tmp_path / "again")
    ]
    same = ("test_errors", "baseline_test_errors", "p_value", "epoch_chosen")
    assert [results[0][key] for key in same] == [results[1][key] for key in same]
    shown = done.stdout.replace("\N{NO-BREAK SPACE}", " ")
    assert "supervised baseline" in shown and "semi-supervised GAN" in shown
    assert f"report: {tmp_path / 'again' / 'report.html'}" in shown
    # Not a terminal: the verdict and nothing else.
    assert "\x1b" not in done.stdout and "epoch 1/" not in done.stdout


def test_predict_and_sample(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = tmp_path / "samples"
    assert main(["sample", str(trained_run), "--count", "5", "--out", str(samples)]) == 0
    out = tmp_path / "out.csv"
    assert main(["predict", str(trained_run), str(samples), "--out", str(out)]) == 0
    assert f"{out}: 5 images" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 6
