"""The examples run as a reader would run them, and do what they say."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder, example, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run(
        [sys.executable, EXAMPLES / example, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_minimax_game_draws_both_paths(tmp_path):
    pytest.importorskip("matplotlib")
    output = run(tmp_path, "minimax_game.py", "--out", "game.png")
    distances = dict(re.findall(r"^(with|without) historical averaging: (\S+) from", output, re.M))
    assert float(distances["with"]) < 1e-2
    assert not float(distances["without"]) < 1
    assert (tmp_path / "game.png").read_bytes().startswith(b"\x89PNG")


def test_plain_loop_resumes_exactly(tmp_path, monkeypatch, capsys):
    """Compare a run in a process of its own with a run in two parts in this one."""
    pytest.importorskip("sklearn")
    uninterrupted = run(tmp_path, "plain_loop.py", "--steps", 20, "--checkpoint", "whole.pt")
    monkeypatch.chdir(tmp_path)
    for words in (["--stop-after", "8"], ["--resume"]):
        capsys.readouterr()
        command = ["plain_loop.py", "--steps", "20", "--checkpoint", "parts.pt", *words]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(EXAMPLES / "plain_loop.py"), run_name="__main__")
    assert "step 20: " in uninterrupted and "SHA-256" in uninterrupted
    assert capsys.readouterr().out == uninterrupted
