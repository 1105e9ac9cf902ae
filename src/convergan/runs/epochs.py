"""The epochs of a run: the training loop's record of an epoch, and its line in metrics.jsonl."""

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
"""A number that is NaN where it is unknown or not finite: null in JSON."""


class HealthWarning(NamedTuple):
    """A problem of the training, the epoch since which it lasts, and advice."""

    epoch: int
    kind: str
    message: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """The training loop's record of an epoch. It holds no test errors, which callbacks count (`Observer`)."""

    epoch: Annotated[int, Ge(1)]
    """Number of the epoch, from 1."""

    step: Count = 0
    """Number of steps done by the end of the epoch."""

    train_seconds: Number = math.nan
    """Seconds since the start of training, over all resumes."""

    seconds_per_epoch: Number = math.nan
    """Duration of this epoch in seconds."""

    learning_rate: Number = math.nan
    """Learning rate of the epoch's last step."""

    losses: dict[str, Number] = field(default_factory=dict)
    """Mean of each loss term over the epoch, weighted as in the objective, by "player/term"."""

    real_score: Number = math.nan
    """Mean D(x) over unlabelled images, 0 to 1."""

    generated_score: Number = math.nan
    """Mean D(G(z)) over generated images, 0 to 1."""

    diversity: Number = math.nan
    """Mean distance between two generated images, divided by that between two images of the data."""

    validation_errors: Count | None = None
    """Number of validation images that the EMA weights misclassify; None without validation images."""

    validation_size: Count = 0
    """Number of validation images."""

    warnings: list[HealthWarning] = field(default_factory=list)
    """New warnings of this epoch."""


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class EpochLine(EpochRecord):
    """A line of metrics.jsonl: the loop's record and, in a run with test images, the test errors.

    The attributes are its keys, in this order; those of tests are absent where there was no test.
    """

    test_size: Annotated[int, Ge(1)] | None = None
    """Number of test images."""

    test_errors: Count | None = None
    """Number of test images that the EMA weights misclassify."""

    raw_test_errors: Count | None = None
    """Number of test images that the weights without EMA misclassify."""

    baseline_test_errors: Count | None = None
    """Number of test images that the baseline's EMA weights misclassify; None without a baseline."""

    def as_json(self) -> dict[str, Any]:
        """The content of the line."""
        values = {name: getattr(self, name) for name in _NAMES}
        values["warnings"] = [warning._asdict() for warning in self.warnings]
        absent = {name for name in TEST_COUNTS if values[name] is None}
        return {name: value for name, value in values.items() if name not in absent}


_NAMES = tuple(attribute.name for attribute in fields(EpochLine))

TEST_COUNTS = _NAMES[len(fields(EpochRecord)) :]
"""Names of the counts on test images."""


def with_errors_of(line: EpochLine, folds: Sequence[EpochLine | None]) -> EpochLine:
    """The line with the counts on test images summed over the same epoch of all folds.

    Counts that a fold lacks stay as they are in the line.
    """
    summed: dict[str, Any] = {}
    for name in TEST_COUNTS:
        counts = [getattr(fold, name) for fold in folds if fold is not None]
        counts = [count for count in counts if count is not None]
        if folds and len(counts) == len(folds):
            summed[name] = sum(counts)
    return replace(line, **summed)


def mean_line(lines: Sequence[EpochLine]) -> EpochLine:
    """The line for one epoch of several trainings: mean numbers, all warnings, summed counts.

    The numbers of images that the counts refer to are summed as well.

    Args:
        lines: lines for the same epoch, one of each training, at least one.
    """
    first = lines[0]
    means: dict[str, Any] = {
        name: _mean([getattr(line, name) for line in lines]) for name in _MEANS
    }
    losses = {
        name: _mean([line.losses.get(name, math.nan) for line in lines]) for name in first.losses
    }
    validated = [line.validation_errors for line in lines if line.validation_errors is not None]
    mean = replace(
        first,
        **means,
        losses=losses,
        validation_errors=sum(validated) if len(validated) == len(lines) else None,
        validation_size=sum(line.validation_size for line in lines),
        warnings=[warning for line in lines for warning in line.warnings],
    )
    return with_errors_of(mean, lines)


_MEANS = (
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
