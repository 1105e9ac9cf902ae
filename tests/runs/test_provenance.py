"""The commit and the versions that a run or a benchmark notes."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from convergan.runs import provenance
from convergan.runs.provenance import git_commit, versions

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

# Nothing of the settings of whoever runs the tests.
ALONE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**environment, **ALONE}
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that the package runs from, with one commit."""
    top = tmp_path / "checkout"
    code = top / "src" / "convergan" / "runs" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.write_text("1")
    git(top, "init")
    git(top, "add", ".")
    git(top, "commit", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(code))
    return top


@needs_git
def test_a_hook_of_another_repository_is_not_believed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "other"
    foreign.mkdir()
    git(foreign, "init")
    monkeypatch.setenv("GIT_DIR", str(foreign / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(foreign / ".git" / "index"))
    assert git_commit() == git(checkout, "rev-parse", "HEAD")


@needs_git
def test_a_shallow_clone_has_its_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "commit", "--allow-empty", "-m", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--depth", "1", checkout.as_uri(), str(clone))
    code = clone / "src" / "convergan" / "runs" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert git_commit() == git(checkout, "rev-parse", "HEAD")


@needs_git
def test_a_checkout_that_git_refuses_has_none(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout of another owner, as in many a container; git's own tests imitate it so."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert git_commit() is None


def test_without_git_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_commit() is None


@needs_git
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
    assert git_commit(excluded="benchmarks/results") == commit
    code.write_text("2")
    assert git_commit(excluded="benchmarks/results") == f"{commit}-dirty"


@needs_git
def test_a_copy_inside_another_checkout_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    code = tmp_path / "lib" / "convergan" / "runs" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.touch()
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert git_commit() is None


def test_versions_are_noted_of_what_is_installed_with_the_package() -> None:
    """Packages of developers are left out: elsewhere they are absent, and training would fail."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = [
        re.split(r"[^\w.-]", requirement)[0]
        for requirement in tomllib.loads(text)["project"]["dependencies"]
    ]
    assert versions().keys() <= {"python", "convergan", *dependencies}
