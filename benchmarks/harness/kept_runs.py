"""Results of runs that took hours, with the commits that trained them, in benchmarks/results."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from convergan.json_files import read_json, write_json
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from harness.rows import RESULTS

MNIST_100 = RESULTS / "mnist-100"
"""Folder of complete runs of `mnist` with 100 labels, one for each seed, kept by `mnist_100.py`."""


class KeptRun(NamedTuple):
    """Results and errors of a run that is kept."""

    results: dict[str, Any]
    errors: list[int]
    """Errors of the EMA weights on the test images after each epoch."""


def kept_runs(folder: Path) -> dict[int, KeptRun]:
    """The runs that a folder keeps, by seed."""
    runs = {}
    for path in folder.glob("*-results.json"):
        seed = int(path.name.removesuffix("-results.json"))
        metrics = read_metrics(folder / f"{seed}-metrics.jsonl")
        runs[seed] = KeptRun(read_json(path), [line.test_errors for line in metrics])
    return dict(sorted(runs.items()))


def keep(run: RunFolder, results: Mapping[str, Any], folder: Path, seed: int) -> None:
    """Copy a run's metrics into a folder; its results get the commits that trained it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / f"{seed}-results.json", {**results, "trained_at_commits": trained_at_commits(run)}
    )
    shutil.copy(run.metrics, folder / f"{seed}-metrics.jsonl")


def trained_at_commits(run: RunFolder) -> list[str]:
    """The commits of all processes that trained a run, in their order."""
    return list(dict.fromkeys(str(process["git_commit"]) for process in processes(run)))


def processes(run: RunFolder) -> list[dict[str, Any]]:
    """Entries of the manifest for the processes that trained a run."""
    manifest = read_json(run.manifest)
    return [manifest, *manifest["resumed"]]


def commits_by_run(runs: Iterable[KeptRun]) -> list[list[str] | None]:
    """The commits that trained each run; None if they are unknown."""
    return [run.results["trained_at_commits"] or None for run in runs]


def joined(names: Iterable[str]) -> str:
    """The different names, joined."""
    return "; ".join(sorted(set(names)))
