"""Checkpoints: whatever state goes in comes back, whole or not at all."""

from pathlib import Path

import pytest
import torch

from convergan.errors import UserError
from convergan.runs.checkpoints import load_newest_checkpoint, save_checkpoint
from support import equal_states

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
    assert loaded is not None and loaded[1] == {"step": 1}
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(
        UserError, match=r"step-000000002.*expected a checkpoint, got a damaged file"
    ):
        load_newest_checkpoint(tmp_path)


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert load_newest_checkpoint(tmp_path) is None
    assert load_newest_checkpoint(tmp_path / "absent") is None


def test_a_failed_write_leaves_the_old_ones(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path, 2, {"step": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.safetensors"]
