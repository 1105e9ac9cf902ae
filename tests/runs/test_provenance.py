"""The commit that a run or a benchmark notes."""

import subprocess
from pathlib import Path

import pytest

from convergan.runs import provenance
from convergan.runs.provenance import git_commit


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_changes_show_but_for_those_that_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "src" / "convergan" / "runs" / "provenance.py"
    result = tmp_path / "benchmarks" / "results" / "a.json"
    for file in (code, result):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert git_commit() == commit
    result.write_text("2")
    assert git_commit() == f"{commit}-dirty"
    assert git_commit(besides="benchmarks/results") == commit
    code.write_text("2")
    assert git_commit(besides="benchmarks/results") == f"{commit}-dirty"


def test_a_copy_inside_another_checkout_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    code = tmp_path / "lib" / "convergan" / "runs" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.touch()
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert git_commit() is None
