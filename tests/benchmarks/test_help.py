"""Every file in `benchmarks` is a command with a help; the helpers are in `benchmarks/harness`."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from harness import BENCHMARKS

COMMANDS = sorted(BENCHMARKS.glob("*.py"))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_has_a_help_for_80_columns(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # One of them adds a folder.
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: {path.name}")
    # Usage and commands of the docstring stand as they are.
    prose = [
        line for line in output.splitlines() if not line.startswith((" ", "usage:", "python "))
    ]
    assert len(prose) > 2 and max(map(len, prose)) <= 80


def test_a_command_finds_its_helpers_from_any_folder(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, BENCHMARKS / "bench.py", "--plan"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "python benchmarks/step.py --recipe cifar10" in finished.stdout
