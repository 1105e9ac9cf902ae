"""Single votes in columns, from which the statistics of a study are computed."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Votes:
    """Votes of a study: one row for each, columns of equal length n, without excluded participants.

    A participant votes in one arm, an arm shows one set of generated images, and an image is either
    generated or real.
    """

    participant: np.ndarray
    """str [n]: name or code of the participant."""

    arm: np.ndarray
    """str [n]: name of the participant's arm."""

    images: np.ndarray
    """str [n]: name of the set of generated images that the arm shows, also on trials with real images."""

    image: np.ndarray
    """str [n]: id of the image shown."""

    trial: np.ndarray
    """int64 [n]: number of the trial, 1, 2, ... for each participant."""

    generated: np.ndarray
    """bool [n]: the image is generated."""

    answered_generated: np.ndarray
    """bool [n]: the answer was "generated"."""

    response_seconds: np.ndarray
    """float64 [n]: time from the appearance of the image to the answer, NaN where unknown."""

    feedback: np.ndarray
    """bool [n]: the participant was told after each answer whether it was right."""

    control: np.ndarray
    """bool [n]: the image is a positive control, an obvious fake, which anybody who looks calls generated. It
    shows whether people did the task, and counts in nothing else."""

    exposure_ms: np.ndarray
    """float64 [n]: exposure that a staircase requested; NaN where the image stayed, or where unknown."""

    shown_ms: np.ndarray
    """float64 [n]: exposure as measured on the screen; NaN where the image stayed, or where unknown."""

    frame_ms: np.ndarray
    """float64 [n]: duration of one frame of the display, NaN where unknown."""

    def __len__(self) -> int:
        return len(self.participant)

    @property
    def wrong(self) -> np.ndarray:
        """Wrong answers: bool [n]."""
        return self.answered_generated != self.generated

    def chosen(self, rows: np.ndarray) -> "Votes":  # words: a public name
        """Return some of the votes, by a mask or by indices."""
        return Votes(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def judged(self) -> "Votes":
        """The votes on images other than positive controls."""
        return self.chosen(~self.control)
