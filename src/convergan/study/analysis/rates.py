"""Error rates of participants, from which most statistics of a study are computed."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from convergan.study.analysis.votes import Votes

CHANCE = 0.5
"""Accuracy of guesses: half of the images are generated."""

MARGIN = 0.05
"""Default of the largest distance from chance that counts as chance."""


@dataclass(frozen=True)
class Rates:
    """Error rates of participants: one row for each, columns of equal length n."""

    participant: np.ndarray
    """str [n]: name or code of the participant."""

    arm: np.ndarray
    """str [n]: name of the participant's arm."""

    images: np.ndarray
    """str [n]: name of the set of generated images that the arm shows."""

    generated_trials: np.ndarray
    """float64 [n]: number of generated images judged; NaN where unknown."""

    real_trials: np.ndarray
    """float64 [n]: number of real images judged; NaN where unknown."""

    error_on_generated: np.ndarray
    """float64 [n], 0 to 1: share of generated images taken for real, the fooling rate; NaN without such."""

    error_on_real: np.ndarray
    """float64 [n], 0 to 1: share of real images taken for generated; NaN without such."""

    response_seconds: np.ndarray | None = None
    """float64 [n]: mean response time in seconds, NaN where unknown; None if not given."""

    def __len__(self) -> int:
        return len(self.participant)

    @property
    def fooled(self) -> np.ndarray:
        """Number of generated images taken for real: float64 [n], NaN where unknown."""
        return _count(self.error_on_generated, self.generated_trials)

    @property
    def doubted(self) -> np.ndarray:
        """Number of real images taken for generated: float64 [n], NaN where unknown."""
        return _count(self.error_on_real, self.real_trials)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of right answers: float64 [n], 0 to 1.

        Where the numbers of trials are unknown, as many generated as real images are assumed.
        """
        trials = self.generated_trials + self.real_trials
        counted = 1 - (self.fooled + self.doubted) / trials
        halves = 1 - (self.error_on_generated + self.error_on_real) / 2
        return np.where(np.isnan(trials), halves, counted)

    def chosen(self, rows: np.ndarray) -> "Rates":  # words: a public name
        """Return some of the participants, by a mask or by indices."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        rates: dict[str, Any] = {
            name: None if cells is None else cells[rows] for name, cells in columns.items()
        }
        return Rates(**rates)


def rates_of(votes: Votes) -> Rates:
    """Compute error rates from votes, without controls; participants in the order of their names."""
    votes = votes.judged
    participants, first, row = np.unique(votes.participant, return_index=True, return_inverse=True)

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(row[mask], minlength=len(participants)).astype(float)

    generated, real = count(votes.generated), count(~votes.generated)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no such images were judged
        return Rates(
            participant=participants,
            arm=votes.arm[first],
            images=votes.images[first],
            generated_trials=generated,
            real_trials=real,
            error_on_generated=count(votes.generated & votes.wrong) / generated,
            error_on_real=count(~votes.generated & votes.wrong) / real,
        )


def _count(rate: np.ndarray, trials: np.ndarray) -> np.ndarray:
    return np.where(trials == 0, 0, rate * trials)
