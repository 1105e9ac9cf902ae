"""The command line: quick help, one-line errors, exit codes."""

import csv
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

import convergan
from convergan import cli
from convergan.cli import _COMMANDS, main
from convergan.errors import UserError
from convergan.image_commands import Predict
from convergan.options import _wrapped_usage, as_typed
from convergan.recipes.presets import PRESETS
from convergan.study_commands import STUDY_COMMANDS
from convergan.train_commands import TrainRecipe

COMMAND = [sys.executable, "-m", "convergan.cli"]


def run(*words: str, encoding: str = "utf-8") -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=240, env=environment
    )


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command that fails prints."""
    assert main(words) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1 and output.err.startswith("convergan: ")
    return output.err


def processor_seconds(task: Callable[[], subprocess.CompletedProcess]) -> float:
    """CPU seconds of a child process; wall-clock time on a busy machine also depends on other programs."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert task().returncode == 0
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


@pytest.mark.parametrize("words", [("--help",), ("train", "--help")])
def test_help_is_instant(words: tuple[str, ...]) -> None:
    """Compare with the start of Python and of the library that reads the command line, on any machine."""
    minimal_command = [sys.executable, "-c", "import tyro"]
    tasks = [partial(subprocess.run, minimal_command), partial(run, *words)]
    # In turn: the processor's own speed may change.
    start, helped = map(min, zip(*(map(processor_seconds, tasks) for _ in range(3)), strict=True))
    # 2 times as much; with torch it is 30 times.
    assert helped < 6 * start
    done = run(*words)
    assert "train" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


COMMANDS = [
    [],
    ["train", "folder"],
    *([name] for name in _COMMANDS),
    *(["study", name] for name in STUDY_COMMANDS),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "convergan")
def test_help_of_every_command(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read what a newcomer reads: lines that fit, and values that can be typed."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    text = " ".join(output.replace("│", " ").split())
    for puzzle in ("None}", "{None", "(default: )", "(default: '')", "(default: None)", ".md"):
        assert puzzle not in text
    # Only settings of a recipe may be on by default, and be switched off.
    assert words[:1] in (["train"], ["score"]) or "--no-" not in text


@pytest.mark.parametrize("bold", ["", "\x1b[1m"])
def test_a_usage_breaks_before_options(bold: str) -> None:
    """Try it with and without the colours of a terminal, which have no width."""
    options = [f"[--option-{number} PATH]" for number in range(8)]
    lines = _wrapped_usage(f"{bold}usage:{bold} convergan [-h] FILE {' '.join(options)}", 80)
    assert len(lines) == 3 and max(len(line.replace(bold, "")) for line in lines) <= 80
    assert [option for line in lines for option in re.findall(r"\[--[^]]*\]", line)] == options
    assert all(line.startswith("       [--") for line in lines[1:])


@pytest.mark.parametrize(
    ("words", "message", "adapted"),
    [
        (["--labels", "3"], "labels: expected 10, got 3", "--labels: expected 10, got 3"),
        (["--data.size-px=0"], "data.size-px: too small", "--data.size-px: too small"),
        (["--pixel_range", "1"], "pixel-range: expected 2", "--pixel_range: expected 2"),
        (["--pixel-range", "1"], "pixel_range: expected 2", "--pixel-range: expected 2"),
        (["--label", "3"], "labels: expected 10, got 3", "labels: expected 10, got 3"),
        (["--out", "x"], "x: expected a file: y", "x: expected a file: y"),
        (["--stopped"], "stopped", "stopped"),
    ],
)
def test_an_error_names_an_option_as_it_was_typed(
    words: list[str], message: str, adapted: str
) -> None:
    assert as_typed(message, words) == adapted


@pytest.mark.parametrize("module", ["convergan", "convergan.cli", "convergan.runs.folder"])
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
        (
            ("train", "digits", "--labels", "many"),
            ["--labels: expected a whole number, 1 to", "or None, got 'many'"],
        ),
        (("train", "digits", "--labels", "0"), ["--labels: expected 1 to 1,000,000,000, got 0"]),
        (("train", "digits", "--colour", "3"), ["--colour"]),
        (("train", "digits", "--seeed", "3"), ["--seeed, 3; perhaps you meant --seed ("]),
        (("train", "digits", "--name", "x"), ["--name"]),
        (("train", "digits", "--networks.kind", "mlp"), ["--networks.kind"]),
        (
            ("nonsense",),
            [
                "command: expected one of train, predict, evaluate, sample, score, study, reproduce,",
                "got nonsense",
            ],
        ),
        (("train", "minst"), ["recipe: expected one of digits, digits-fast, mnist", "got minst"]),
        (("train",), ["recipe: expected one of digits, digits-fast, mnist", "got nothing"]),
        (("train", "--seed", "3", "digits"), ["recipe: expected one of", "got --seed"]),
        (("predict",), ["Missing from convergan predict: RUN ("]),
        (("predict", "run"), ["images: expected an image or a folder of images, got nothing"]),
        (("sample", "run"), ["Missing from convergan sample: --count INT, --out PATH ("]),
        (("train", "--from", "absent.yaml"), ["absent.yaml: expected a recipe.yaml"]),
        (("train", "--out", "x", "--from", "absent.yaml"), ["absent.yaml: expected a recipe.yaml"]),
        (("train", "--out", "x", "--from=absent.yaml"), ["absent.yaml: expected a recipe.yaml"]),
        (("train", "--from"), ["from: expected the path of a recipe.yaml, got nothing"]),
        (("train", "--from="), ["from: expected the path of a recipe.yaml, got nothing"]),
        (
            ("train", "digits", "--resume", "--from", "f"),
            ["convergan: --from: expected no recipe with the file f, got digits"],
        ),
        (("predict", "absent-run", "."), ["absent-run: expected a run folder"]),
        # Another command's: not taken for a hint.
        (
            ("predict", "run", "images", "--metrics", "is"),
            ["Unrecognized options: --metrics, is (see convergan predict --help)"],
        ),
        (
            ("train", "digits", "--reference", "x"),
            ["Unrecognized options: --reference, x (see convergan train digits --help)"],
        ),
        (("train", "digits", "--path", "x"), ["perhaps you meant --data.path ("]),
        # The library's guess, --feedback, is spelled quite differently.
        (
            ("study", "create", "--real", "a", "--generated", "b", "--db", "x.db"),
            ["Unrecognized options: --db, x.db (see convergan study create --help)"],
        ),
        (("train", "digits", "--epochs"), ["--epochs: expected a value, got none"]),
        (("train", "digits", "--epochs", "2.5"), ["--epochs: expected a whole number", "got 2.5"]),
        (
            ("train", "digits", "--optimizer.epsilon", "inf"),
            ["--optimizer.epsilon: expected 1e-30 to 100, got inf"],
        ),
        (
            ("train", "digits", "--networks.hidden", "3", "x"),
            ["--networks.hidden: expected 1 to 100 values, each 1 to 65,536, got [3, 'x']"],
        ),
        (
            ("train", "digits", "--data.channels", "2"),
            ["--data.channels: expected one of None, 1, 3, got '2'"],
        ),
        (
            ("train", "digits", "--hardware.precision", "fp16"),
            ["--hardware.precision: expected one of auto, fp32, bf16, got 'fp16'"],
        ),
        (
            ("train", "digits", "--checkpoint-every-seconds", "nan"),
            ["--checkpoint-every-seconds: expected 0 to 1,000,000, got nan"],
        ),
        (
            ("sample", "r", "--out", "x", "--count", "2", "--best", "nan"),
            ["--best: expected 0.0001 to 1"],
        ),
        (
            ("sample", "r", "--out", "x", "--count", "2", "--seed", "-1"),
            ["--seed: expected 0 to 2^63"],
        ),
        (("score", "x", "--pixel-range", "0"), ["--pixel-range: expected FLOAT FLOAT, got '0'"]),
        (
            ("sample", "absent-run", "--count", "2", "--out", "x"),
            ["absent-run: expected a run folder"],
        ),
        (("train", "folder", "--data.path", "absent"), ["absent"]),
        (
            ("train", "digits", "--labels", "7"),
            ["convergan: --labels: expected at least one for each of 10 classes"],
        ),
        (
            ("train", "digits", "--labels", "5000"),
            ["expected at most 1,240: 124 of each class, as '8' has, got 5000", "uses all 1,297"],
        ),
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
    assert len(message.replace(str(tmp_path), "")) < 160
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_errors_are_one_line_in_any_encoding(encoding: str) -> None:
    # tyro frames its complaints in lines of Unicode, or in none.
    done = run("train", "digits", "--labels", "many", encoding=encoding)
    assert done.stderr == (
        "convergan: --labels: expected a whole number, 1 to 1,000,000,000, or None, got 'many' "
        "(see convergan train digits --help)\n"
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("nonsense",), "convergan"),
        (("train", "minst"), "convergan train"),
        (("train", "digits", "--labels", "many"), "convergan train digits"),
        (("predict",), "convergan predict"),
    ],
)
def test_errors_name_the_help_that_explains(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], command: str
) -> None:
    assert failed(capsys, *words).endswith(f" (see {command} --help)\n")


def test_a_folder_that_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    words = ("sample", str(trained_run), "--count", "1", "--out", str(out))
    message = f"convergan: --out: expected a folder in an existing folder, got {out}\n"
    assert failed(capsys, *words) == message
    with pytest.raises(UserError):
        main([*words, "--debug"])


def test_an_error_without_a_file_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: Predict) -> None:
        raise ConnectionError("the hub\ndoes not answer")

    monkeypatch.setattr(Predict, "run", unreachable)
    assert failed(capsys, "predict", "run", ".") == "convergan: the hub does not answer\n"


def test_labels_can_be_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = []
    monkeypatch.setattr(TrainRecipe, "run", lambda self: recipes.append(self.recipe))
    assert main(["train", "digits", "--labels", "None"]) == 0
    assert main(["train", "digits"]) == 0
    assert recipes == [replace(PRESETS["digits"], labels=None), PRESETS["digits"]]


def test_arms_and_minutes_are_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = []
    monkeypatch.setattr(TrainRecipe, "run", lambda self: recipes.append(self.recipe))
    words = ["--arms", "gan", "frozen", "--minutes", "2.5", "--data.path", "images"]
    assert main(["train", "folder", *words]) == 0
    assert (recipes[0].arms, recipes[0].minutes) == (("frozen", "gan"), 2.5)
    # The plan is written, and read from a file; nobody is asked for it.
    assert "--plan" not in run("train", "folder", "--help").stdout
    assert main(["train", "digits", "--arms", "ensemble"]) != 0
    assert "arms: expected one of" in capsys.readouterr().err.replace("--", "")


@pytest.mark.parametrize(
    ("option", "word", "expected"),
    [
        ("hardware.precision", "32-true", "fp32"),
        ("hardware.precision", "bf16-mixed", "bf16"),
        ("hardware.precision", "bf16", "bf16"),
        ("hardware.accelerator", "gpu", "gpu"),
        ("data.channels", "1", 1),
        ("data.folds", "0", 0),
        ("data.folds", "None", None),
        ("networks.hidden", "30", (30,)),
        ("optimizer.learning_rate", "1e-3", 0.001),
        ("augmentation.kind", "photographs", "photographs"),
        ("augmentation.shift", "None", None),
        ("augmentation.rotation", "20", 20.0),
    ],
)
def test_words_and_numbers_are_understood(
    monkeypatch: pytest.MonkeyPatch, option: str, word: str, expected: object
) -> None:
    recipes = []
    monkeypatch.setattr(TrainRecipe, "run", lambda self: recipes.append(self.recipe))
    assert main(["train", "digits", f"--{option.replace('_', '-')}", word]) == 0
    group, name = option.split(".")
    assert getattr(getattr(recipes[0], group), name) == expected


def test_precision_is_named_alike_in_train_and_score() -> None:
    train, score = (
        set(re.search(r"precision \{(.*)\}", run(*words, "--help").stdout)[1].split(","))
        for words in (("train", "digits"), ("score",))
    )
    assert train == score | {"auto"}


def test_help_flows_and_tells_ranges() -> None:
    output = run("train", "folder", "--help").stdout
    panel = [line[2:].rstrip("│ ") for line in output.splitlines() if line.startswith("│")]
    text = " ".join(" ".join(panel).split())
    assert "The classifier is tested after each of them. (1 to 1,000,000) (default: 20)" in text
    assert "(0, or 2 to 1000) --data.split-seed INT" in text
    assert "(2 to 65,536) (default: 16)" in text
    # A line of help ends early only where the next word has no room.
    pairs = [
        (line, next_line)
        for line, next_line in pairwise(panel)
        if line.startswith("      ") and next_line.startswith("      ")
    ]
    assert len(pairs) > 40
    for line, next_line in pairs:
        assert len(line) + 1 + len(next_line.split()[0]) > 74, line


def test_options_of_every_command_are_in_the_help() -> None:
    panel = [line for line in run("--help").stdout.splitlines() if line.startswith("│ --")]
    assert [line.split()[1] for line in panel] == ["--version", "--debug"]


def test_help_leaves_out_what_the_recipe_decides() -> None:
    output = run("train", "mnist", "--help").stdout
    assert "--networks.kind" not in output and "--name" not in output
    assert "--labels INT|None" in output
    # The kind of the networks stands fast, that of the views does not.
    assert "--augmentation.kind {none,digits,photographs}" in output
    assert "--data.flip, --data.no-flip" in output


def test_a_mistake_in_the_labels_leaves_no_run_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    failed(capsys, "train", "digits", "--labels", "5000", "--out", str(out))
    assert not out.exists()


def test_a_run_that_exists_is_refused_before_anything_is_loaded(trained_run: Path) -> None:
    code = (
        "import sys\n"
        "from convergan.cli import main\n"
        f"code = main(['train', 'digits', '--out', {str(trained_run)!r}])\n"
        "print(code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False False\n"
    assert "expected a new or empty folder, got a finished run; --out DIR writes" in done.stderr


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "digits", "--labels", "100", "--dry-run", "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("10 classes: 0 (10), 1 (10), ") and "time: about " in output
    assert output.endswith("nothing was trained (--dry-run)\n")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_does_not_care_for_the_folder_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = tmp_path / "runs" / "digits-100-seed0"
    usual.mkdir(parents=True)
    (usual / "recipe.yaml").touch()
    assert main(["train", "digits", "--labels", "100", "--dry-run"]) == 0
    assert "nothing was trained" in capsys.readouterr().out
    assert "got a run" in failed(
        capsys, "train", "digits", "--labels", "100", "--dry-run", "--out", str(usual)
    )


def test_debug_shows_where_it_came_from() -> None:
    done = run("predict", "absent-run", ".", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr and "UserError" in done.stderr


def test_train_from_a_recipe_repeats_the_run(trained_run: Path, tmp_path: Path) -> None:
    done = run(
        "train", "--out", str(tmp_path / "again"), "--from", str(trained_run / "recipe.yaml")
    )
    assert done.returncode == 0, done.stderr
    results = [
        json.loads((folder / "results.json").read_text())
        for folder in (trained_run, tmp_path / "again")
    ]
    keys = ("test_errors", "baseline_test_errors", "p_value", "epoch_chosen")
    assert [results[0][key] for key in keys] == [results[1][key] for key in keys]
    output = done.stdout.replace("\N{NO-BREAK SPACE}", " ")
    assert "supervised baseline" in output and "semi-supervised GAN" in output
    assert f"report: {tmp_path / 'again' / 'report.html'}" in output
    # Not a terminal: plain lines, of which epochs have one a minute.
    assert "\x1b" not in done.stdout and done.stdout.count("epoch 1/") == 1
    assert done.stdout.startswith("10 classes: 0 (10), 1 (10), ")
    assert max(map(len, output.splitlines()[:6])) <= 80


def test_predict_and_sample(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In brackets: paths are no markup, and long ones are not broken into lines.
    tmp_path = tmp_path / "[x]" / ("long-" * 20)
    tmp_path.mkdir(parents=True)
    samples = tmp_path / "samples"
    assert main(["sample", str(trained_run), "--count", "5", "--out", str(samples)]) == 0
    assert (
        f"{samples}: 5 images; the first of them are in {samples}-grid.png"
        in capsys.readouterr().out
    )
    out = tmp_path / "out.csv"
    assert main(["predict", str(trained_run), str(samples), "--out", str(out)]) == 0
    assert f"{out}: 5 images" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 6


def test_predictions_go_to_the_standard_output(trained_run: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.heic").touch()
    done = run("predict", str(trained_run), str(tmp_path), "--out", "-")
    assert done.returncode == 0
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert row["path"] == str(tmp_path / "a.png")
    assert done.stderr.splitlines() == ["1 file skipped: .heic 1", "standard output: 1 images"]


def test_a_reader_that_goes_away_ends_the_command_quietly(
    trained_run: Path, tmp_path: Path
) -> None:
    for number in range(40):
        Image.new("L", (8, 8)).save(tmp_path / f"{number}.png")
    words = [*COMMAND, "predict", str(trained_run), str(tmp_path), "--out", "-"]
    command = shlex.join(words)
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 0; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == cli.BROKEN_PIPE and done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MemoryError(), 1, "memory: expected enough for this command"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] . tried to allocate 48 bytes"),
            1,
            "memory: expected enough for this command, got too little ([enforce fail",
        ),
        (ZeroDivisionError("a\nb"), cli.UNEXPECTED, "unexpected ZeroDivisionError: a b (--debug"),
        (OSError(28, "No space left on device", "x.csv"), 1, "x.csv: No space left on device"),
    ],
)
def test_no_exception_reaches_the_user_as_a_traceback(
    error: Exception,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Predict, "run", fail)
    assert cli.main(["predict", "run", "images"]) == code
    message = capsys.readouterr().err
    assert message.startswith(f"convergan: {line}") and message.count("\n") == 1
    with pytest.raises(type(error)):
        cli.main(["predict", "run", "images", "--debug"])


def test_control_characters_of_a_name_never_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["predict", "run\n\x1b]0;owned\x07", "x.png"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and r"run\n\x1b]0;owned\x07: expected a run folder" in message


def test_a_warning_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(*_: object) -> None:
        warnings.warn("first\n  second", stacklevel=1)

    monkeypatch.setattr(Predict, "run", warn)
    assert cli.main(["predict", "run", "images"]) == 0
    assert capsys.readouterr().err == "convergan: warning: first second\n"


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "words",
    [
        (LONG,),
        ("train", LONG),
        ("train", "digits", f"--{LONG}"),
        ("train", "digits", "--seed", LONG),
        ("train", "digits", LONG),
        ("train", "digits", "--hardware.precision", LONG),
        ("train", "digits", "--data.path", LONG),
        ("train", "--from", LONG),
        ("predict", LONG, "."),
        ("study", LONG),
        ("study", "create", "--real", ".", "--generated", ".", "--arm", LONG),
        ("study", "report", f"{LONG}://x"),
    ],
)
def test_a_long_word_is_not_printed_as_a_whole(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    line = failed(capsys, *words)
    assert len(line) < 2000 and ": " in line
