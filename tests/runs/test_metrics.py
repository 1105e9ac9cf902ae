"""metrics.jsonl: one line for each epoch, whatever happened to the file."""

import random
import resource
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.runs.metrics import append_metrics, check_metrics, keep_metrics, read_metrics
from support import damaged


def written(path: Path, epochs: list[int]) -> Path:
    for epoch in epochs:
        append_metrics(path, {"epoch": epoch, "losses": {"a": 0.5}, "test_errors": epoch})
    return path


def epochs_of(lines: list[dict[str, object]]) -> list[object]:
    return [line["epoch"] for line in lines]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, {"epoch": 1, "losses": {"a": float("nan")}})
    assert read_metrics(path)[0]["losses"]["a"] is None


def test_a_cut_off_last_line_is_nothing_wrong(tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", [1, 2, 3])
    path.write_text(path.read_text()[:-5])
    assert epochs_of(read_metrics(path)) == [1, 2]
    kept = keep_metrics(path, 1)
    assert epochs_of(kept.lines) == [1] and kept.problem is None
    assert epochs_of(read_metrics(path)) == [1]
    assert keep_metrics(tmp_path / "new.jsonl", 0).lines == []


def test_a_damaged_line_costs_itself_alone_and_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", [1, 2, 3, 4])
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"\xff\xfe", b"{", b"[1]", b"7", b"{}", b'{"epoch": "2"}', b"[" * 100_000):
        path.write_bytes(b"".join([lines[0], damage + b"\n", *lines[2:]]))
        kept = keep_metrics(path, 4)
        assert epochs_of(kept.lines) == [1, 3, 4]
        assert kept.problem == (
            f"{path}: expected a line for each epoch, got no epoch 2 and a damaged line 2"
        )
        again = check_metrics(path, 4)
        assert again.lines == kept.lines
        assert again.problem == f"{path}: expected a line for each epoch, got no epoch 2"


def test_lines_that_are_missing_or_there_twice_are_told(tmp_path: Path) -> None:
    """What two processes in one folder wrote before there was a lock."""
    path = written(tmp_path / "metrics.jsonl", [1, 1, 2, 3, 2, 4, 3, 4, 7])
    kept = keep_metrics(path, 6)
    assert epochs_of(kept.lines) == [1, 2, 3, 4]
    assert kept.problem == (
        f"{path}: expected a line for each epoch, got no epoch 5, 6 and two lines of epoch 1, 2, 3, 4"
    )
    assert keep_metrics(written(tmp_path / "good.jsonl", [1, 2, 3]), 3).problem is None


def test_any_damage_leaves_good_lines_or_one_line_of_error(tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", [1, 2, 3, 4, 5])
    whole, good, chance = path.read_bytes(), read_metrics(path), random.Random(2)
    for _ in range(300):
        path.write_bytes(damaged(whole, chance))
        kept = check_metrics(path, 5)
        told = len(kept.lines) == 5 or kept.problem is not None
        assert told
        # A digit that became another is no damage that can be seen.
        assert sum(line in good for line in kept.lines) >= len(kept.lines) - 2
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=rf"^{path}: expected the metrics of a run, got Is a dir"):
        read_metrics(path)


def test_a_line_that_finds_no_room_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", [1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        with pytest.raises(OSError) as told:
            append_metrics(path, {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told.value.filename == str(path) and told.value.strerror == "File too large"
