"""`make bench` says what it will run and for how long, and runs it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench import MEASUREMENTS, Measurement
from harness import BENCHMARKS, ROOT


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def command(*words: object) -> None:
        monkeypatch.setattr(sys, "argv", ["bench.py", *map(str, words)])
        bench.main()

    return command


def test_the_plan_names_all_commands_and_their_minutes(
    call: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("--plan", "--mnist", tmp_path)
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head == f"About {sum(entry.minutes for entry in MEASUREMENTS):g} minutes on two cores:"
    for line, entry in zip(lines, MEASUREMENTS, strict=True):
        assert line.split()[:2] == [f"{entry.minutes:g}", "min"]
        assert f"python benchmarks/{entry.command}" in line
        assert line.endswith(f"{entry.data} {tmp_path}") == bool(entry.data)
        assert (ROOT / line.split()[3]).is_file()
    assert last.startswith("Results go to ")


def test_without_mnist_the_plan_says_what_is_left_out(
    call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    call("--plan")
    output = capsys.readouterr().out
    with_data = [entry for entry in MEASUREMENTS if entry.data]
    minutes = sum(entry.minutes for entry in with_data)
    assert f"(make bench MNIST=DIR) {minutes:g} minutes more: {with_data[0].command}," in output
    assert output.count("\n    ") == len(MEASUREMENTS) - len(with_data)


def test_a_command_that_fails_does_not_stop_the_next(
    call: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, code in (
        ("bad", "raise SystemExit(3)"),
        ("good", "print('measured')"),
        ("table", ""),
    ):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setattr(bench, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(
        bench, "MEASUREMENTS", (Measurement("bad.py", 1), Measurement("good.py --n 2", 0.5))
    )
    with pytest.raises(SystemExit, match=r"failed: python bad\.py"):
        call()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "About 1.5 minutes on two cores:"
    assert lines.index("$ python bad.py") < lines.index("$ python good.py --n 2")
    assert "measured" in lines


def test_a_folder_that_is_not_there_is_refused(
    call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call("--mnist", BENCHMARKS / "none")
    assert "--mnist: expected a folder of parquet files, got" in capsys.readouterr().err
