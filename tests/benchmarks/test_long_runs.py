"""What the benchmarks that take hours keep: of runs that were interrupted, or are not done."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from convergan.json_files import read_json, write_json
from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder
from kept_epochs import OURS, PEER, Ledger, conditions
from kept_runs import keep
from mnist_paths import EPOCHS, compared, usable
from mnist_time_to_accuracy import result

MNIST = PRESETS["mnist"]
STARTS = {OURS: 3.0, PEER: 5.0}
FOUND = {"device": "cpu, 1 thread", "precision": "32-true"}


def test_a_race_counts_the_start_and_all_epochs_up_to_the_target(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "progress.jsonl", target=0.1, epochs=4)
    for epoch, error_rate in enumerate((0.3, 0.1), start=1):
        ledger.add(OURS, epoch, 10.0, error_rate)
    assert ledger.is_done(OURS)
    for epoch, error_rate in enumerate((0.4, 0.2, 0.09), start=1):
        assert not ledger.is_done(PEER)
        ledger.add(PEER, epoch, 20.0, error_rate)
    row = result(MNIST, ledger, STARTS, FOUND)
    assert (row["ours"], row["peer"]) == (3 + 2 * 10, 5 + 3 * 20)
    assert row["times_faster"] == pytest.approx(65 / 23)
    assert (row["epoch_times_faster"], row["epoch_seconds_ratio"]) == (2, 2)
    assert row["epochs_needed_ratio"] == 1.5


def test_a_side_that_never_comes_there_is_shown_as_such(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "progress.jsonl", target=0.1, epochs=2)
    for epoch in (1, 2):
        ledger.add(OURS, epoch, 10.0, 0.1)
        ledger.add(PEER, epoch, 30.0, 0.2)
    assert ledger.is_done(PEER)
    row = result(MNIST, ledger, STARTS, FOUND)
    assert (row["ours"], row["peer"], row["times_faster"]) == (13, None, None)
    assert (row["epoch_times_faster"], row["epochs_needed_ratio"]) == (3, None)
    assert row["peer_best_error_rate"] == 0.2
    json.dumps(row)


def test_the_first_epoch_of_a_later_process_counts_with_the_median(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    ledger = Ledger(path, target=0.1, epochs=9)
    for epoch, seconds in enumerate((10.0, 12.0, 14.0), start=1):
        ledger.add(OURS, epoch, seconds, 0.3)
    # It had begun the third again.
    again = Ledger(path, target=0.1, epochs=9)
    again.keep(OURS, 2)
    again.add(OURS, 3, 99.0, 0.2)
    again.add(OURS, 4, 16.0, 0.1)
    assert Ledger(path, target=0.1, epochs=9).seconds(OURS) == [10, 12, 12, 16]
    assert again.summary(OURS, 0)["resumed_epochs"] == [3]


def test_a_race_goes_on_only_where_it_computes_alike(tmp_path: Path, bf16_units: bool) -> None:
    ours, others = ("bf16-mixed", "32-true") if bf16_units else ("32-true", "bf16-mixed")
    path = tmp_path / "conditions.json"
    found = conditions(path, MNIST, lambda: {"peer_workers": 2})
    assert (found["peer_workers"], found["precision"]) == (2, ours)

    def never() -> dict[str, int]:
        raise AssertionError

    assert conditions(path, MNIST, never) == found
    hardware = replace(MNIST.hardware, precision=others)  # type: ignore[arg-type]
    other = replace(MNIST, hardware=hardware)
    with pytest.raises(SystemExit, match=f"expected precision {ours} as before, got {others}"):
        conditions(path, other, never)


def test_a_seed_keeps_the_commits_of_all_its_processes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    resumed = [{"git_commit": name} for name in ("b", "a", "b")]
    write_json(run.manifest, {"git_commit": "a", "resumed": resumed})
    run.metrics.write_text("metrics")
    keep(run, {"test_errors": 7}, tmp_path, 3)
    assert read_json(tmp_path / "3-results.json") == {
        "test_errors": 7,
        "trained_at_commits": ["a", "b"],
    }
    assert (tmp_path / "3-metrics.jsonl").read_text() == "metrics"


def test_paths_are_compared_on_the_seeds_of_both(tmp_path: Path) -> None:
    reference, fast = tmp_path / "reference", tmp_path / "fast"
    for folder, errors in (
        (reference, {0: 110, 1: 114, 2: 130}),
        (fast, {0: 113, 1: 115, 4: 90}),
    ):
        folder.mkdir()
        for seed, number in errors.items():
            # What a longer run did later does not count; a shorter one has no errors to compare.
            lines = [
                json.dumps({"epoch": epoch, "test_errors": number if epoch == EPOCHS else 1})
                for epoch in range(1, EPOCHS + (0 if seed == 2 else 2))
            ]
            (folder / f"{seed}-metrics.jsonl").write_text("\n".join(lines) + "\n")
            unknown = folder == reference and seed == 1
            commits = [] if unknown else [folder.name, f"seed {seed}"]
            results = {**FOUND, "trained_at_commits": commits}
            write_json(folder / f"{seed}-results.json", results)
    row = compared(usable(fast, "cpu"), usable(reference, "cpu"))
    assert row is not None
    assert (row["seeds"], row["ours_by_seed"], row["peer_by_seed"]) == (
        [0, 1],
        [113, 115],
        [110, 114],
    )
    assert (row["difference_of_means"], row["within_a_standard_deviation"]) == (2, True)
    assert row["setting"].endswith("different: noise")
    assert (row["device"], row["peer_device_by_seed"]) == (FOUND["device"], 2 * [FOUND["device"]])
    assert row["trained_at_commits_by_seed"] == [["fast", "seed 0"], ["fast", "seed 1"]]
    assert row["peer_trained_at_commits_by_seed"] == [["reference", "seed 0"], None]
    assert usable(fast, "cuda") == {}
    (fast / "1-metrics.jsonl").unlink()
    assert compared(usable(fast, "cpu"), usable(reference, "cpu")) is None
