"""The JSON of a benchmark: a list of rows, one per setting."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from convergan.files import write_text
from convergan.json_files import spread_json_text
from convergan.runs.provenance import git_commit, versions
from harness import BENCHMARKS
from harness.measure import Times, medians, quartiles_of_ratio

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", BENCHMARKS / "results"))

GIT_COMMIT = git_commit(excluded="benchmarks/results")
"""Commit of the running code, whatever is committed before it ends; results are not part of it."""


def row(
    *,
    claim: str,
    setting: str,
    device: str,
    precision: str,
    ours: float,  # words: a key of the JSON
    peer: float,
    peer_name: str,
    unit: str,
    repeats: int,
    times_faster: float | None = None,
    floor: float | None = None,
    **details: Any,
) -> dict[str, Any]:
    """One row. Accuracy has neither `times_faster` nor `floor`; `floor` is in `unit`, as `ours` and `peer`.
    `details` are further numbers.
    """
    return {
        "claim": claim,
        "setting": setting,
        "device": device,
        "precision": precision,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "unit": unit,
        "times_faster": times_faster,
        "floor": floor,
        "times_floor": None if floor is None else ours / floor,
        "repeats": repeats,
        **details,
        "versions": versions(),
        "git_commit": GIT_COMMIT,
        "command": command(sys.argv),
    }


def command(words: list[str]) -> str:
    """The command of a program and its arguments, without the folders of this machine."""
    program = f"benchmarks/{Path(words[0]).name}"
    return shlex.join(["python", program, *map(without_folder, words[1:])])


def without_folder(word: str) -> str:
    """A word of a command, where it is a path or an option's, without the folders of this machine."""
    option, equals, value = word.rpartition("=")
    path = Path(value)
    return option + equals + (path.name if path.is_absolute() or ".." in path.parts else value)


def timing(*, times: Times, peer: str, **details: Any) -> dict[str, Any]:
    """A row of times: medians of the turns of "ours" and of the task `peer`.

    On a machine that is busy for a while the ratio varies less from turn to turn than the times do:
    `times_faster` is the median of the ratios, not the ratio of the medians.
    """
    seconds, quartiles = medians(times), quartiles_of_ratio(times[peer], times["ours"])
    return row(
        ours=seconds["ours"],
        peer=seconds[peer],
        times_faster=quartiles[1],
        times_faster_quartiles=quartiles,
        **details,
    )


def results_path(name: str) -> Path:
    """<name>.json in the folder of results: benchmarks/results, or $BENCHMARK_RESULTS."""
    return RESULTS / f"{name}.json"


def write_rows(name: str, rows: list[dict[str, Any]]) -> Path:
    """Write a benchmark's rows to its `results_path`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = results_path(name)
    write_text(path, spread_json_text(rows))
    return path
