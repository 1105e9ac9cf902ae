"""Error rates of single participants: what most statistics of a study start from."""

from dataclasses import dataclass, fields

import numpy as np

from convergan.study.analysis.votes import Votes

CHANCE = 0.5
"""The accuracy of who guesses: half of the images are generated."""

MARGIN = 0.05
"""How far from chance an accuracy may be and still count as chance, where nobody says otherwise."""


@dataclass(frozen=True)
class Rates:
    """One row a participant, columns of equal length n."""

    participant: np.ndarray
    """str [n]"""

    arm: np.ndarray
    """str [n]"""

    images: np.ndarray
    """str [n]: the set of generated images that the arm shows."""

    generated_trials: np.ndarray
    """float64 [n]: how many generated images the participant judged; NaN where unknown."""

    real_trials: np.ndarray
    """float64 [n]: how many real ones; NaN where unknown."""

    error_on_generated: np.ndarray
    """float64 [n], 0 to 1: share of the generated images taken for real, the fooling rate; NaN where none."""

    error_on_real: np.ndarray
    """float64 [n], 0 to 1: share of the real images taken for generated; NaN where none."""

    def __len__(self) -> int:
        return len(self.participant)

    @property
    def fooled(self) -> np.ndarray:
        """float64 [n]: how many generated images were taken for real; NaN where unknown."""
        return _count(self.error_on_generated, self.generated_trials)

    @property
    def doubted(self) -> np.ndarray:
        """float64 [n]: how many real images were taken for generated; NaN where unknown."""
        return _count(self.error_on_real, self.real_trials)

    @property
    def accuracy(self) -> np.ndarray:
        """float64 [n]: share of right answers; where the numbers of trials are unknown, as many
        generated as real images are assumed."""
        trials = self.generated_trials + self.real_trials
        known = 1 - (self.fooled + self.doubted) / trials
        halves = 1 - (self.error_on_generated + self.error_on_real) / 2
        return np.where(np.isnan(trials), halves, known)

    def chosen(self, rows: np.ndarray) -> "Rates":
        """Some of the participants, by a mask or by indices."""
        return Rates(*(getattr(self, field.name)[rows] for field in fields(self)))


def rates_of(votes: Votes) -> Rates:
    """Counts the votes of each participant, controls aside; participants in the order of their names."""
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
