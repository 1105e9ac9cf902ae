"""metrics.jsonl: one line for each epoch, whatever happened to the file."""

import json
import math
import random
import resource
from dataclasses import fields, replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.runs.epochs import EpochLine, EpochRecord, HealthWarning, mean_line, with_errors_of
from convergan.runs.metrics import append_metrics, check_metrics, keep_metrics, read_metrics
from support import damaged


def write_epochs(path: Path, epochs: list[int]) -> Path:
    for epoch in epochs:
        append_metrics(path, EpochLine(epoch=epoch, losses={"a": 0.5}, test_errors=epoch))
    return path


def epochs_of(lines: list[EpochLine]) -> list[int]:
    return [line.epoch for line in lines]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, EpochLine(epoch=1, losses={"a": math.nan, "b": math.inf}, diversity=0.5))
    values = json.loads(path.read_text())
    assert values["losses"] == {"a": None, "b": None} and values["real_score"] is None
    (line,) = read_metrics(path)
    assert math.isnan(line.losses["a"]) and math.isnan(line.real_score) and line.diversity == 0.5


def test_a_cut_off_last_line_is_nothing_wrong(tmp_path: Path) -> None:
    path = write_epochs(tmp_path / "metrics.jsonl", [1, 2, 3])
    path.write_text(path.read_text()[:-5])
    assert epochs_of(read_metrics(path)) == [1, 2]
    metrics = keep_metrics(path, 1)
    assert epochs_of(metrics.lines) == [1] and metrics.problem is None
    assert epochs_of(read_metrics(path)) == [1]
    assert keep_metrics(tmp_path / "new.jsonl", 0).lines == []


def test_a_damaged_line_costs_itself_alone_and_is_told(tmp_path: Path) -> None:
    path = write_epochs(tmp_path / "metrics.jsonl", [1, 2, 3, 4])
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"\xff\xfe", b"{", b"[1]", b"7", b"{}", b'{"epoch": "2"}', b"[" * 100_000):
        path.write_bytes(b"".join([lines[0], damage + b"\n", *lines[2:]]))
        metrics = keep_metrics(path, 4)
        assert epochs_of(metrics.lines) == [1, 3, 4]
        assert metrics.problem == (
            f"{path}: expected a line for each epoch, got no epoch 2 and a damaged line 2"
        )
        checked = check_metrics(path, 4)
        assert checked.lines == metrics.lines
        assert checked.problem == f"{path}: expected a line for each epoch, got no epoch 2"


def test_lines_that_are_missing_or_there_twice_are_told(tmp_path: Path) -> None:
    """Lines as two processes in one folder wrote them before there was a lock."""
    path = write_epochs(tmp_path / "metrics.jsonl", [1, 1, 2, 3, 2, 4, 3, 4, 7])
    metrics = keep_metrics(path, 6)
    assert epochs_of(metrics.lines) == [1, 2, 3, 4]
    assert metrics.problem == (
        f"{path}: expected a line for each epoch, got no epoch 5, 6 and two lines for epoch 1, 2, 3, 4"
    )
    assert keep_metrics(write_epochs(tmp_path / "good.jsonl", [1, 2, 3]), 3).problem is None


def test_any_damage_leaves_good_lines_or_one_line_of_error(tmp_path: Path) -> None:
    path = write_epochs(tmp_path / "metrics.jsonl", [1, 2, 3, 4, 5])
    intact, good, chance = path.read_bytes(), read_metrics(path), random.Random(2)
    for _ in range(300):
        path.write_bytes(damaged(intact, chance))
        metrics = check_metrics(path, 5)
        noticed = len(metrics.lines) == 5 or metrics.problem is not None
        assert noticed
        # A digit that became another is no damage that can be seen.
        assert sum(line in good for line in metrics.lines) >= len(metrics.lines) - 2
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=rf"^{path}: expected the metrics of a run, got Is a dir"):
        read_metrics(path)


def test_a_line_that_finds_no_room_names_the_file(tmp_path: Path) -> None:
    path = write_epochs(tmp_path / "metrics.jsonl", [1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            append_metrics(path, EpochLine(epoch=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path) and caught.value.strerror == "File too large"


RECORD = EpochRecord(
    epoch=2,
    step=26,
    train_seconds=0.5,
    seconds_per_epoch=0.25,
    learning_rate=0.003,
    losses={"discriminator/supervised": 1.5, "generator/feature_matching": math.nan},
    real_score=0.75,
    generated_score=0.5,
    diversity=0.25,
    validation_errors=None,
    validation_size=0,
    warnings=[HealthWarning(2, "collapse", "it collapses", "do this")],
)
LOOP_LINE = (
    '{"epoch": 2, "step": 26, "train_seconds": 0.5, "seconds_per_epoch": 0.25, "learning_rate": 0.003, '
    '"losses": {"discriminator/supervised": 1.5, "generator/feature_matching": null}, '
    '"real_score": 0.75, "generated_score": 0.5, "diversity": 0.25, "validation_errors": null, '
    '"validation_size": 0, "warnings": [{"epoch": 2, "kind": "collapse", "message": "it collapses", '
    '"advice": "do this"}]'
)


@pytest.mark.parametrize(
    ("tests", "text"),
    [
        ({}, ""),
        (
            {"test_size": 500, "test_errors": 7, "raw_test_errors": 8},
            ', "test_size": 500, "test_errors": 7, "raw_test_errors": 8',
        ),
        (
            {"test_size": 5, "test_errors": 0, "raw_test_errors": 1, "baseline_test_errors": 2},
            ', "test_size": 5, "test_errors": 0, "raw_test_errors": 1, "baseline_test_errors": 2',
        ),
    ],
    ids=["no test", "no baseline", "baseline"],
)
def test_a_line_to_the_letter(tests: dict[str, int], text: str, tmp_path: Path) -> None:
    """Programs of users read these keys; those of tests are absent where there is none."""
    path, line = tmp_path / "metrics.jsonl", EpochLine(**vars(RECORD), **tests)
    append_metrics(path, line)
    assert path.read_text() == f"{LOOP_LINE}{text}}}\n"
    (loaded,) = read_metrics(path)
    assert loaded.as_json()["warnings"] == line.as_json()["warnings"]
    append_metrics(path, loaded)
    first, second = path.read_text().splitlines()
    assert first == second


def test_the_loop_can_record_no_test_error() -> None:
    names = {field.name for field in fields(EpochRecord)}
    test_fields = {field.name for field in fields(EpochLine)} - names
    assert test_fields == {"test_size", "test_errors", "raw_test_errors", "baseline_test_errors"}
    assert not [name for name in names if "test" in name]


@pytest.mark.parametrize("run", ["digits", "folder", "imagenet", "minibatch"])
def test_lines_of_an_earlier_version_are_read(run: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "fixtures" / "0.1.0" / run / "finished" / "metrics.jsonl"
    for line in read_metrics(path):
        append_metrics(tmp_path / "metrics.jsonl", line)
    assert (tmp_path / "metrics.jsonl").read_text() == path.read_text()


def test_keys_of_other_versions_are_read_over_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"epoch": 1, "fid": [3.5, null],  "test_errors": 2}\n{"epoch": 2}\n{"epoch": 3}\n'
    )
    first, *_ = read_metrics(path)
    assert (first.epoch, first.test_errors, first.losses) == (1, 2, {})
    assert keep_metrics(path, 2).problem is None
    assert path.read_text() == '{"epoch": 1, "fid": [3.5, null],  "test_errors": 2}\n{"epoch": 2}\n'


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": 0}',
        '{"epoch": 1.0}',
        '{"epoch": 1, "test_errors": -1}',
        '{"epoch": 1, "test_size": 0}',
        '{"epoch": 1, "losses": {"a": "1"}}',
        '{"epoch": 1, "diversity": NaN}',
        '{"epoch": 1, "warnings": [{"kind": "collapse"}]}',
    ],
)
def test_a_value_of_another_kind_damages_a_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(f"{line}\n")
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_errors_of_folds_are_added_where_all_have_counted() -> None:
    line = EpochLine(epoch=3)
    counted = EpochLine(epoch=3, test_size=6, test_errors=2, raw_test_errors=1)
    total = with_errors_of(line, [counted, replace(counted, test_size=7, baseline_test_errors=5)])
    assert (total.test_size, total.test_errors, total.raw_test_errors) == (13, 4, 2)
    assert total.baseline_test_errors is None
    assert with_errors_of(counted, []) == counted
    assert with_errors_of(line, [counted, None]) == line


def test_a_name_that_is_no_utf8_damages_no_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    warning = HealthWarning(1, "metrics", "runs/\udcff/metrics.jsonl: expected a line", "")
    append_metrics(path, EpochLine(epoch=1, warnings=[warning]))
    text = path.read_text()
    metrics = keep_metrics(path, 1)
    assert metrics.problem is None and metrics.lines[0].warnings[0].message.startswith(
        r"runs/\udcff/"
    )
    assert path.read_text() == text


def test_the_epoch_of_several_trainings_is_their_mean_with_their_counts_together() -> None:
    warning = HealthWarning(2, "collapse", "all alike", "")
    first = EpochLine(
        epoch=2, step=8, train_seconds=2.0, losses={"discriminator/supervised": 1.0}, real_score=0.5,
        test_size=10, test_errors=1, raw_test_errors=2, warnings=[warning],
    )  # fmt: skip
    second = replace(
        first, train_seconds=4.0, losses={"discriminator/supervised": 3.0}, test_errors=4,
        validation_errors=1, validation_size=5, warnings=[],
    )  # fmt: skip
    mean = mean_line([first, second])
    assert (mean.epoch, mean.step, mean.train_seconds, mean.real_score) == (2, 8, 3.0, 0.5)
    assert mean.losses == {"discriminator/supervised": 2.0}
    assert (mean.test_size, mean.test_errors, mean.raw_test_errors) == (20, 5, 4)
    # Not of all of them: a part of the count is no count.
    assert mean.validation_errors is None and mean.baseline_test_errors is None
    assert math.isnan(mean.diversity) and mean.warnings == [warning]
