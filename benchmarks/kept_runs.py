"""What results/ keeps of runs that take hours, and with it all that trained them."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convergan.runs.folder import RunFolder, read_json, write_json


def keep(run: RunFolder, results: Mapping[str, Any], folder: Path, seed: int) -> None:
    """Copies a run's metrics into a folder; its results, beside them, get the commits that trained it."""
    write_json(
        folder / f"{seed}-results.json", {**results, "trained_at_commits": trained_at_commits(run)}
    )
    shutil.copy(run.metrics, folder / f"{seed}-metrics.jsonl")


def trained_at_commits(run: RunFolder) -> list[str]:
    """The commits of all processes that trained a run, in their order."""
    return list(dict.fromkeys(str(process["git_commit"]) for process in processes(run)))


def processes(run: RunFolder) -> list[dict[str, Any]]:
    """What the manifest says of each process that trained a run."""
    manifest = read_json(run.manifest)
    return [manifest, *manifest["resumed"]]


def commits_of(runs: list[dict[str, Any]]) -> list[str]:
    """All commits that trained some runs."""
    return sorted({commit for run in runs for commit in run["trained_at_commits"]})


def joined(names: Iterable[str]) -> str:
    """Each name once."""
    return "; ".join(sorted(set(names)))
