"""Results kept by benchmarks that take hours, also of runs that were interrupted or are not finished."""

import json
from pathlib import Path

from convergan.json_files import read_json, write_json
from convergan.runs.folder import RunFolder
from harness.kept_runs import keep
from mnist_paths import EPOCHS, compared, usable

HARDWARE = {"device": "cpu, 1 thread", "precision": "32-true"}


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
            # Later epochs of a longer run do not count; a shorter run has no errors to compare.
            lines = [
                json.dumps({"epoch": epoch, "test_errors": number if epoch == EPOCHS else 1})
                for epoch in range(1, EPOCHS + (0 if seed == 2 else 2))
            ]
            (folder / f"{seed}-metrics.jsonl").write_text("\n".join(lines) + "\n")
            unknown = folder == reference and seed == 1
            commits = [] if unknown else [folder.name, f"seed {seed}"]
            results = {**HARDWARE, "trained_at_commits": commits}
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
    assert (row["device"], row["peer_device_by_seed"]) == (
        HARDWARE["device"],
        2 * [HARDWARE["device"]],
    )
    assert row["trained_at_commits_by_seed"] == [["fast", "seed 0"], ["fast", "seed 1"]]
    assert row["peer_trained_at_commits_by_seed"] == [["reference", "seed 0"], None]
    assert usable(fast, "cuda") == {}
    (fast / "1-metrics.jsonl").unlink()
    assert compared(usable(fast, "cpu"), usable(reference, "cpu")) is None
