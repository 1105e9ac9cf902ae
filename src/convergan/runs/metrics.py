"""metrics.jsonl: one line per epoch, appended as the run goes on."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from convergan.errors import reading
from convergan.files import naming, write_text
from convergan.json_files import json_line

_Number = float | None
_Count = Annotated[int, Field(ge=0)]


class _Warning(TypedDict):
    epoch: int
    kind: str
    message: str
    advice: str


@with_config(ConfigDict(extra="allow", strict=True, allow_inf_nan=False))
class _Line(TypedDict, total=False):
    """Fields of a line that other code reads; docs/run-folder.md has their meanings."""

    epoch: Annotated[int, Field(ge=1)]
    step: _Count
    train_seconds: _Number
    seconds_per_epoch: _Number
    learning_rate: _Number
    losses: dict[str, _Number]
    real_score: _Number
    generated_score: _Number
    diversity: _Number
    test_errors: _Count
    raw_test_errors: _Count
    baseline_test_errors: _Count
    test_size: Annotated[int, Field(ge=1)]
    validation_errors: _Count | None
    validation_size: _Count
    warnings: list[_Warning]


_LINE = TypeAdapter(_Line)


class Metrics(NamedTuple):
    """The readable lines of a metrics.jsonl, and the problem with it."""

    lines: list[dict[str, Any]]
    """Lines in the order of the epochs, one for each."""
    problem: str | None
    """Epochs and lines that are missing, damaged or doubled, in one line that names the file."""


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Adds one line. Numbers that are not finite become null: JSON has none."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json_line(line) + "\n")


def sync_metrics(path: Path) -> None:
    """Makes the lines last through a power failure."""
    if path.exists():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The undamaged lines by epoch, the last of each epoch; none where there is no file.

    Raises:
        UserError: there is something else than a file, or it cannot be read.
    """
    return check_metrics(path).lines


def check_metrics(path: Path, epochs: int | None = None) -> Metrics:
    """The lines of the first `epochs` epochs, of all epochs by default, and the problem with them.

    A last line that was cut off is no problem: the process ended while it wrote the line of an epoch that
    no checkpoint holds.

    Raises:
        UserError: as `read_metrics`.
    """
    by_epoch: dict[int, dict[str, Any]] = {}
    damaged: list[int] = []
    doubled: set[int] = set()
    content = b""
    if path.exists():
        with reading(path, "the metrics of a run"):
            content = path.read_bytes()
    texts = content.splitlines()
    for number, text in enumerate(texts, 1):
        line = _line(text)
        if line is None:
            damaged.append(number)
        elif epochs is None or line["epoch"] <= epochs:
            if line["epoch"] in by_epoch:
                doubled.add(line["epoch"])
            by_epoch[line["epoch"]] = line
    lines = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    last_epoch = max(by_epoch, default=0) if epochs is None else epochs
    missing = [epoch for epoch in range(1, last_epoch + 1) if epoch not in by_epoch]
    if damaged and damaged[-1] == len(texts) and not missing:
        damaged.pop()
    faults = [
        f"{fault} {_list(numbers)}"
        for fault, numbers in (
            ("no epoch", missing),
            ("a damaged line", damaged),
            ("two lines of epoch", sorted(doubled)),
        )
        if numbers
    ]
    problem = (
        f"{path}: expected a line for each epoch, got {' and '.join(faults)}" if faults else None
    )
    return Metrics(lines, problem)


def keep_metrics(path: Path, epochs: int) -> Metrics:
    """Removes lines after `epochs` epochs, and damaged or doubled ones, from the file; gives the others."""
    kept = check_metrics(path, epochs)
    write_text(path, "".join(json_line(line) + "\n" for line in kept.lines))
    return kept


def _line(text: bytes) -> dict[str, Any] | None:
    """The line that a text holds, None if it is damaged."""
    try:
        line: dict[str, Any] = json.loads(text)
        _LINE.validate_python(line)
        return line if "epoch" in line else None
    # Damage takes any form: text that is no UTF-8 or no JSON, deep nesting, other types.
    except (ValueError, RecursionError):
        return None


def _list(numbers: list[int], limit: int = 5) -> str:
    shown = ", ".join(map(str, numbers[:limit]))
    return shown if len(numbers) <= limit else f"{shown} and {len(numbers) - limit} more"
