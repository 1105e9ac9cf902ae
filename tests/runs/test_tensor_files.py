"""Files of tensors: as they were written, or refused."""

import os
import random
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convergan.errors import UserError
from convergan.runs.tensor_files import load_tensors, save_tensors
from support import damaged, equal_states

TENSORS = {
    "weights": torch.arange(600.0).view(20, 30),
    "half": torch.ones(7, dtype=torch.bfloat16),
    "flag": torch.tensor(True),
    "empty": torch.zeros(0, 3),
}


def test_they_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {**TENSORS, "turned": torch.arange(6).view(2, 3).T}, {"about": "them"})
    tensors, metadata = load_tensors(path)
    assert metadata == {"about": "them"}
    assert tensors.pop("turned").tolist() == [[0, 3], [1, 4], [2, 5]]
    assert equal_states(tensors, TENSORS)
    assert tensors["half"].dtype == torch.bfloat16


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    entries = {f"entry {number}": str(number) for number in range(8)}
    contents = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        save_tensors(path, TENSORS, entries)
        contents.add(path.read_bytes())
    assert len(contents) == 1 and load_tensors(path)[1] == entries


def test_damage_of_any_kind_is_noticed(tmp_path: Path) -> None:
    """Tensors that load are those that were written: names, types, shapes, bytes and metadata."""
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, {"about": "them"})
    intact, chance, noticed = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        path.write_bytes(damaged(intact, chance))
        try:
            tensors, metadata = load_tensors(path)
        except ValueError as error:
            assert "a damaged file" in str(error)
            noticed += 1
        else:
            assert equal_states(tensors, TENSORS) and metadata == {"about": "them"}
            assert all(tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert noticed > 250


def test_files_of_0_1_0_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path, metadata={"about": "them"})
    tensors, metadata = load_tensors(path)
    assert equal_states(tensors, TENSORS) and metadata == {"about": "them"}


def what_a_child_is_told(limit: Callable[[], None], path: Path, note: Path) -> str:
    """The error of a child process that is limited and writes tensors to `path`."""
    child = os.fork()
    if child == 0:
        with note.open("w", encoding="utf-8") as file:
            limit()
            try:
                save_tensors(path, TENSORS)
            except UserError as error:
                file.write(str(error))
        os._exit(0)
    os.waitpid(child, 0)
    return note.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A limit of 1,000 bytes on the size of files raises what a full disk raises too."""
    path = tmp_path / "runs" / "a.safetensors"
    path.parent.mkdir()
    save_tensors(path, {"old": torch.ones(1)})
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, 1000))
    message = what_a_child_is_told(limit, path, tmp_path / "said")
    assert message.startswith(f"{path}: expected to write 2.42 kB, got ") and "too large" in message
    assert "\n" not in message
    assert load_tensors(path)[0]["old"].tolist() == [1]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]


def become_nobody() -> None:
    """Give up root's privileges, to which nothing is locked."""
    if os.getuid() == 0:
        os.setuid(65534)


def test_no_permission_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    path = locked / "a.safetensors"
    message = what_a_child_is_told(become_nobody, path, tmp_path / "said")
    assert message == f"{path}: expected to write 2.42 kB, got Permission denied"


def test_a_full_disk_is_named(tmp_path: Path, small_disk: Path) -> None:
    path = small_disk / "a.safetensors"
    with pytest.raises(UserError, match=rf"^{path}: expected to write 4 MB, got .*No space"):
        save_tensors(path, {"large": torch.zeros(1_000_000)})
    assert list(small_disk.iterdir()) == []
