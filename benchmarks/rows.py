"""The JSON of a benchmark: a list of rows, one per setting."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from convergan.files import write_text
from convergan.training.provenance import git_commit, versions

RESULTS = Path(__file__).parent / "results"


def row(
    *,
    claim: str,
    setting: str,
    device: str,
    precision: str,
    ours: float,
    peer: float,
    peer_name: str,
    unit: str,
    repeats: int,
    **details: Any,
) -> dict[str, Any]:
    """One row. `details` are numbers that stand behind `ours` and `peer`."""
    return {
        "claim": claim,
        "setting": setting,
        "device": device,
        "precision": precision,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "unit": unit,
        # Accuracy has neither a speed nor a floor.
        "times_faster": None,
        "floor": None,
        "times_floor": None,
        "repeats": repeats,
        **details,
        "versions": versions(),
        "git_commit": git_commit(),
        "command": shlex.join(["python", *sys.argv]),
    }


def write_rows(name: str, rows: list[dict[str, Any]]) -> Path:
    """Writes benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_text(path, json.dumps(rows, indent=2) + "\n")
    return path
