"""The epochs of a run: what the loop says of one, and what its line in metrics.jsonl says besides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge
from pydantic import ConfigDict, WrapValidator, with_config

from convergan.runs.results import Count

Number = Annotated[
    float, WrapValidator(lambda value, fit: math.nan if value is None else fit(value))
]
"""NaN where it is not known, or not finite: null in JSON."""


class HealthWarning(NamedTuple):
    """What is wrong, since which epoch, and what to do about it."""

    epoch: int
    kind: str
    message: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch came to, as the loop knows it. It holds no test error: those who watch count that."""

    epoch: Annotated[int, Ge(1)]
    """Number of the epoch, from 1."""

    step: Count = 0
    """Number of steps done by its end."""

    train_seconds: Number = math.nan
    """Seconds since the start of training, over all resumes."""

    seconds_per_epoch: Number = math.nan
    """Duration of this epoch in seconds."""

    learning_rate: Number = math.nan
    """Learning rate of its last step."""

    losses: dict[str, Number] = field(default_factory=dict)
    """Mean of each term over the epoch, weighted as in the objective, by "player/term"."""

    real_score: Number = math.nan
    """Mean D(x) over unlabelled images, 0 to 1."""

    generated_score: Number = math.nan
    """Mean D(G(z)) over generated images, 0 to 1."""

    diversity: Number = math.nan
    """Mean distance of two generated images over that of two images of the data."""

    validation_errors: Count | None = None
    """Mistakes of the averaged weights on validation images; None where none are held out."""

    validation_size: Count = 0
    """Number of validation images."""

    warnings: list[HealthWarning] = field(default_factory=list)
    """Warnings that this epoch raised."""


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class EpochLine(EpochRecord):
    """A line of metrics.jsonl: the loop's record and, of a run with test images, what was counted on them.

    Its keys are these names in this order; those of tests are absent where there was none.
    """

    test_size: Annotated[int, Ge(1)] | None = None
    """Number of test images."""

    test_errors: Count | None = None
    """Mistakes of the averaged weights."""

    raw_test_errors: Count | None = None
    """Mistakes of the weights as they are."""

    baseline_test_errors: Count | None = None
    """Mistakes of the baseline's averaged weights; None without a baseline."""

    def as_json(self) -> dict[str, Any]:
        """The content of the line."""
        values = {name: getattr(self, name) for name in _NAMES}
        values["warnings"] = [warning._asdict() for warning in self.warnings]
        absent = {name for name in OF_TESTS if values[name] is None}
        return {name: value for name, value in values.items() if name not in absent}


_NAMES = tuple(each.name for each in fields(EpochLine))

OF_TESTS = _NAMES[len(fields(EpochRecord)) :]
"""Names of what is counted on test images."""


def with_errors_of(line: EpochLine, folds: Sequence[EpochLine | None]) -> EpochLine:
    """The line with the counts on test images of the same epoch of all folds together.

    What a fold did not count, or whose line is missing, stays as it is in the line.
    """
    together: dict[str, Any] = {}
    for name in OF_TESTS:
        counts = [getattr(fold, name) for fold in folds if fold is not None]
        counts = [count for count in counts if count is not None]
        if folds and len(counts) == len(folds):
            together[name] = sum(counts)
    return replace(line, **together)


def mean_line(lines: Sequence[EpochLine]) -> EpochLine:
    """One epoch of several trainings: their mean numbers, all warnings, and their counts together.

    Counts stand beside the number of images that they are of, which is added up as well.

    Args:
        lines: of the same epoch, one of each training, at least one.
    """
    first = lines[0]
    means: dict[str, Any] = {
        name: _mean([getattr(line, name) for line in lines]) for name in _OF_TRAINING
    }
    losses = {
        name: _mean([line.losses.get(name, math.nan) for line in lines]) for name in first.losses
    }
    validated = [line.validation_errors for line in lines if line.validation_errors is not None]
    together = replace(
        first,
        **means,
        losses=losses,
        validation_errors=sum(validated) if len(validated) == len(lines) else None,
        validation_size=sum(line.validation_size for line in lines),
        warnings=[warning for line in lines for warning in line.warnings],
    )
    return with_errors_of(together, lines)


_OF_TRAINING = (
    "train_seconds",
    "seconds_per_epoch",
    "learning_rate",
    "real_score",
    "generated_score",
    "diversity",
)
"""Names of the numbers of an epoch that have a mean."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
