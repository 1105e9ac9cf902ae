"""The file metrics.jsonl: one line per epoch, appended during the run."""

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from convergan.errors import reading
from convergan.files import naming, write_text
from convergan.json_files import json_line, parse_json_as
from convergan.runs.epochs import EpochLine

_LINE = TypeAdapter(EpochLine)


class Metrics(NamedTuple):
    """The readable lines of a metrics.jsonl, and the problem with it."""

    lines: list[EpochLine]
    """Lines in the order of the epochs, one for each."""
    problem: str | None
    """Missing epochs and damaged or duplicate lines, in one line that names the file; None without any."""


def append_metrics(path: Path, line: EpochLine) -> None:
    """Append a line. Numbers that are not finite become null, as JSON has none."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json_line(line.as_json()) + "\n")


def sync_metrics(path: Path) -> None:
    """Flush the lines to the disk, so that they survive a power failure."""
    if path.exists():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def read_metrics(path: Path) -> list[EpochLine]:
    """The undamaged lines by epoch, the last of each epoch; none where there is no file.

    Raises:
        UserError: the path is not a file, or it cannot be read.
    """
    return check_metrics(path).lines


def check_metrics(path: Path, epochs: int | None = None) -> Metrics:
    """The lines of the first `epochs` epochs, of all epochs by default, and the problem with them.

    A truncated last line is no problem: the process ended while it wrote the line of an epoch that no
    checkpoint holds.

    Raises:
        UserError: as in `read_metrics`.
    """
    return _checked(path, epochs)[0]


def keep_metrics(path: Path, epochs: int) -> Metrics:
    """Remove lines after `epochs` epochs, and damaged or duplicate ones, from the file; return the others.

    The others stay as they are, with keys of other versions.
    """
    metrics, texts = _checked(path, epochs)
    write_text(path, "".join(f"{text.decode()}\n" for text in texts))
    return metrics


def _checked(path: Path, epochs: int | None) -> tuple[Metrics, list[bytes]]:
    """The metrics that `check_metrics` returns, and the text of each line."""
    by_epoch: dict[int, tuple[EpochLine, bytes]] = {}
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
        elif epochs is None or line.epoch <= epochs:
            if line.epoch in by_epoch:
                doubled.add(line.epoch)
            by_epoch[line.epoch] = line, text
    last_epoch = max(by_epoch, default=0) if epochs is None else epochs
    missing = [epoch for epoch in range(1, last_epoch + 1) if epoch not in by_epoch]
    if damaged and damaged[-1] == len(texts) and not missing:
        damaged.pop()
    faults = [
        f"{fault} {_list(numbers)}"
        for fault, numbers in (
            ("no epoch", missing),
            ("a damaged line", damaged),
            ("two lines for epoch", sorted(doubled)),
        )
        if numbers
    ]
    problem = (
        f"{path}: expected a line for each epoch, got {' and '.join(faults)}" if faults else None
    )
    entries = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    return Metrics([line for line, _ in entries], problem), [text for _, text in entries]


def _line(text: bytes) -> EpochLine | None:
    """The parsed line; None if it is damaged."""
    try:
        return parse_json_as(text, _LINE)
    except ValidationError:
        return None


def _list(numbers: list[int], limit: int = 5) -> str:
    text = ", ".join(map(str, numbers[:limit]))
    return text if len(numbers) <= limit else f"{text} and {len(numbers) - limit} more"
