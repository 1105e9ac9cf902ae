"""Checkpoints: whatever state goes in comes back, whole or not at all."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convergan.errors import UserError
from convergan.runs import checkpoints
from convergan.runs.checkpoints import load_newest_checkpoint, save_checkpoint, set_aside
from convergan.runs.tensor_files import load_tensors
from support import damaged, equal_states

STATE = {
    "weights": {"a": torch.arange(6.0).view(2, 3), "empty": torch.zeros(0)},
    "optimizer": {
        "state": {0: {"step": torch.tensor(3.0)}, 1: {}},
        "param_groups": [{"betas": [0.5, 0.9]}],
    },
    "none": None,
    "numbers": [1, 2.5, True, "text"],
    "random": torch.get_rng_state(),
    "half": torch.ones(2, dtype=torch.bfloat16),
}


def test_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path / "new" / "folder", 7, STATE)
    loaded = load_newest_checkpoint(tmp_path / "new" / "folder")
    assert loaded is not None and loaded[0] == saved
    assert equal_states(loaded[1], STATE)
    assert loaded[1]["half"].dtype == torch.bfloat16


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    weights = torch.ones(3)
    save_checkpoint(tmp_path, 1, {"a": weights, "b": weights, "c": weights[:2]})
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None and loaded[1]["c"].tolist() == [1, 1]


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300):
        save_checkpoint(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000020.safetensors",
        "step-000000300.safetensors",
    ]
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None and loaded[1] == {"step": 300}


def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    newest = save_checkpoint(tmp_path, 2, {"step": 2})
    newest.write_bytes(newest.read_bytes()[:20])
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state == {"step": 1}
    (passed_over,) = loaded.passed_over
    assert passed_over.path == newest
    assert passed_over.problem.startswith(f"{newest}: expected a checkpoint, got a damaged file (")
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(
        UserError,
        match=r"^\S*2.safetensors: expected a checkpoint, got a damaged file .*the older one cannot",
    ):
        load_newest_checkpoint(tmp_path)


def test_any_damage_falls_back_to_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"old": True})
    newest = save_checkpoint(tmp_path, 2, STATE, {"recipe": "a"})
    intact, chance, fallen_back = newest.read_bytes(), random.Random(1), 0
    for _ in range(200):
        newest.write_bytes(damaged(intact, chance))
        loaded = load_newest_checkpoint(tmp_path, {"recipe": "a"})
        assert loaded is not None
        if loaded.path == newest:
            assert equal_states(loaded.state, STATE)
        else:
            assert loaded.state == {"old": True} and len(loaded.passed_over) == 1
            fallen_back += 1
    assert fallen_back > 150


def test_one_of_another_run_is_not_used(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, {"recipe": "a", "data set": "x"})
    foreign = save_checkpoint(tmp_path, 2, {"step": 2}, {"recipe": "a", "data set": "y"})
    loaded = load_newest_checkpoint(tmp_path, {"recipe": "a", "data set": "x"})
    assert loaded is not None and loaded.state == {"step": 1}
    assert loaded.passed_over[0].problem == (
        f"{foreign}: expected a checkpoint of this run, got one of another data set"
    )
    with pytest.raises(UserError, match=r"got one of another recipe; the older one cannot be used"):
        load_newest_checkpoint(tmp_path, {"recipe": "b", "data set": "y"})
    new_path = set_aside(foreign)
    assert new_path.exists() and not foreign.exists()
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state == {"step": 1} and not loaded.passed_over


def test_those_of_0_1_0_are_read(tmp_path: Path) -> None:
    """Checkpoints of 0.1.0 have neither a checksum nor an origin."""
    path = save_checkpoint(tmp_path, 1, STATE, {"recipe": "a"})
    tensors, metadata = load_tensors(path)
    save_file(tensors, path, metadata={"skeleton": metadata["skeleton"]})
    loaded = load_newest_checkpoint(tmp_path, {"recipe": "b"})
    assert loaded is not None and equal_states(loaded.state, STATE)


def test_what_holds_other_tensors_is_none(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "step-000000001.safetensors")
    with pytest.raises(UserError, match=r"expected a checkpoint, got other tensors$"):
        load_newest_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (MemoryError(), "one too large for memory"),
    ],
)
def test_a_good_one_that_cannot_be_read_now_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, reason: str
) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    newest = save_checkpoint(tmp_path, 2, {"step": 2})

    def refuse(path: Path) -> None:
        raise fault

    monkeypatch.setattr(checkpoints, "load_tensors", refuse)
    with pytest.raises(UserError, match=rf"^{newest}: expected a checkpoint, got {reason}$"):
        load_newest_checkpoint(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


SHORT = """
import os, resource, sys
from pathlib import Path
from convergan.errors import UserError
from convergan.runs.checkpoints import load_newest_checkpoint

first_free = os.open("/dev/zero", os.O_RDONLY)
os.close(first_free)
size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
for kind, most in [
    (resource.RLIMIT_NOFILE, first_free),
    (resource.RLIMIT_NOFILE, first_free + 1),
    (resource.RLIMIT_AS, size + 20_000_000),
    (resource.RLIMIT_AS, size + 90_000_000),
]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        told = load_newest_checkpoint(Path(sys.argv[1]))
    except (UserError, OSError) as error:
        told = error
    resource.setrlimit(kind, (soft, hard))
    print(type(told).__name__, told)
"""
"""A process that has too few files, then too little memory."""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits are those of Linux")
def test_a_process_short_of_files_or_memory_passes_none_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    newest = save_checkpoint(tmp_path, 2, {"weights": torch.zeros(15_000_000)})
    command = [sys.executable, "-c", SHORT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == f"OSError [Errno 24] Too many open files: '{tmp_path}'"
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(f"UserError {newest}: expected a checkpoint, got "), line
        assert "damaged" not in line


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert load_newest_checkpoint(tmp_path) is None
    assert load_newest_checkpoint(tmp_path / "absent") is None


def test_a_failed_write_leaves_the_old_ones(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path, 2, {"step": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.safetensors"]
