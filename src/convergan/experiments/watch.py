"""Progress of cells, from the metrics that their trainings append, and the time that they will take."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from convergan.experiments.cells import Cell, Ensemble, Scoring, Training
from convergan.experiments.store import Store
from convergan.json_files import parse_json_as
from convergan.runs.checkpoints import checkpoint_steps
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder

_LINE = TypeAdapter(EpochLine)
_LAST_BYTES = 1 << 16
"""Bytes to read from the end of a file: more than two lines of metrics."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Progress of a training."""

    epochs_done: int = 0
    epochs: int
    seconds_per_epoch: float | None = None
    """Duration of the last epoch; None before the first has ended."""

    @property
    def share(self) -> float:
        """Share of the epochs that is done, 0 to 1."""
        return min(1.0, self.epochs_done / self.epochs)

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left, from the last epoch; None before the first has ended."""
        if self.seconds_per_epoch is None:
            return None
        return max(0, self.epochs - self.epochs_done) * self.seconds_per_epoch


def standing(store: Store, cell: Cell) -> Standing | None:
    """Progress of a training, according to its folder; None for a cell that is not a training."""
    if not isinstance(cell, Training):
        return None
    line = last_line(RunFolder(store.cell_folder(cell)).metrics)
    if line is None:
        return Standing(epochs=cell.recipe.epochs)
    seconds = line.seconds_per_epoch
    return Standing(
        epochs_done=line.epoch,
        epochs=cell.recipe.epochs,
        seconds_per_epoch=seconds if math.isfinite(seconds) else None,
    )


def last_line(path: Path) -> EpochLine | None:
    """The last complete line of a metrics.jsonl; None where there is none, or it cannot be read now."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LAST_BYTES))
            *lines, _ = file.read().split(b"\n")
        return parse_json_as(lines[-1], _LINE)
    except (OSError, ValidationError, IndexError):
        return None


def steps_kept(store: Store, cell: Cell) -> int:
    """Number of steps in the newest checkpoints of a cell, over all of its trainings."""
    parts = RunFolder(store.cell_folder(cell)).parts()
    return sum(max(checkpoint_steps(part.checkpoints), default=0) for part in parts)


class CellDurations:
    """Estimate of the time that cells need, from other trainings of the same recipe and other scores."""

    def __init__(self) -> None:
        self._timed: dict[str, float] = {}
        self._per_epoch: dict[str, float] = {}

    def add_timing(self, cell: Training | Scoring, seconds: float) -> None:
        """Add the duration of a cell: estimated from timed steps or images, or, of a score, measured."""
        self._timed[pace(cell)] = seconds

    def observe(self, cell: Training, current: Standing) -> None:
        """Add the speed of a training."""
        if current.seconds_per_epoch is not None:
            self._per_epoch[cell.recipe.name] = current.seconds_per_epoch

    def seconds(self, cell: Cell, current: Standing | None) -> float | None:
        """Time that a cell still needs; None where it is unknown. Averaging counts as 0."""
        if isinstance(cell, Ensemble):
            return 0.0
        if isinstance(cell, Scoring):
            return self._timed.get(pace(cell))
        done = current.share if current else 0.0
        own = current.seconds_left if current else None
        if own is not None:
            return own
        name, epochs = cell.recipe.name, cell.recipe.epochs
        if name in self._per_epoch:
            return (1 - done) * epochs * self._per_epoch[name]
        return (1 - done) * self._timed[name] if name in self._timed else None


def pace(cell: Training | Scoring) -> str:
    """Name that cells of the same duration share: the recipe of trainings, the images of scores."""
    if isinstance(cell, Training):
        return cell.recipe.name
    source = cell.recipe.data.source.replace("/", "-")
    return f"scores of {f'{source} images' if cell.real else 'samples'}"


def makespan(seconds: list[float], workers: int) -> float:
    """Time until `workers` have done tasks of these durations, each taken by the first free worker."""
    ends = [0.0] * max(1, min(workers, len(seconds)))
    for duration in seconds:
        earliest = ends.index(min(ends))
        ends[earliest] += duration
    return max(ends)
