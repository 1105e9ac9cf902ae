"""Outputs do not depend on the environment: umask, temporary folder, home, terminal, time zone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drawn_images import write_folder

TRAIN = [
    "train", "folder", "--data.path", "images", "--out", "run", "--epochs", "1", "--minutes", "None",
    "--steps", "1", "--networks.width", "2", "--networks.generator-width", "4", "--data.folds", "0",
    "--objective.feature-matching.weight", "1", "--objective.real-or-generated.weight", "1",
]  # fmt: skip


def convergan(
    folder: Path, *words: str, umask: int, **variables: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a command with some environment variables changed, or removed where None."""
    environment = {**os.environ, "CONVERGAN_CACHE": str(folder / "cache"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "convergan.cli", *words], cwd=folder, umask=umask,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def here_and_there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of one command in the tests' own environment and in one that differs in all respects."""
    usual, unusual = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    for folder in (usual, unusual):
        write_folder(folder / "images", labelled=8)
    long = unusual / ("a temporary folder " * 5) / ("with blanks " * 8)
    long.mkdir(parents=True)
    odd = {
        "TMPDIR": str(long), "HOME": "/nonexistent", "TZ": "Asia/Kathmandu", "COLUMNS": "200",
        "TERM": "dumb", "NO_COLOR": "1", "CI": "1", "LANG": "tr_TR.UTF-8", "USER": None,
        "PATH": "/nowhere", "PYTHONHASHSEED": "7",
    }  # fmt: skip
    for folder, done in (
        (usual, convergan(usual, *TRAIN, umask=0o000, COLUMNS="80")),
        (unusual, convergan(unusual, *TRAIN, umask=0o077, **odd)),
    ):
        assert done.returncode == 0, done.stderr
        (folder / "stdout").write_text(done.stdout, encoding="utf-8")
    # But for the folder that torch's compiler makes where it is imported, unless a variable names one.
    assert not [path for path in long.iterdir() if not path.name.startswith("torchinductor_")]
    return usual, unusual


one_process = pytest.mark.xdist_group("environments")


@one_process
def test_permissions_are_those_that_the_umask_leaves(here_and_there: tuple[Path, Path]) -> None:
    for folder, umask in zip(here_and_there, (0o000, 0o077), strict=True):
        for top in ("run", "cache"):
            for path in (folder / top, *(folder / top).rglob("*")):
                permissions = 0o777 if path.is_dir() else 0o666
                # A lock is its owner's alone.
                if "lock" not in path.name:
                    assert stat.S_IMODE(path.stat().st_mode) == permissions & ~umask, path


@one_process
def test_no_part_of_the_environment_changes_what_comes_out(
    here_and_there: tuple[Path, Path],
) -> None:
    """Compare the outputs with another home, time zone, terminal, language, path and temporary folder."""
    usual, unusual = here_and_there
    # A wide terminal breaks no line; apart from that, every word is the same.
    first, second = ((folder / "stdout").read_text(encoding="utf-8") for folder in here_and_there)
    assert first.split() == second.split()
    for name in ("classifier.safetensors", "generator.safetensors", "config.json"):
        expected, actual = (
            (folder / "run" / "model" / name).read_bytes() for folder in (usual, unusual)
        )
        assert expected == actual
