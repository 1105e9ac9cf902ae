"""What the application hands to the statistics: single votes, in columns."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Votes:
    """One row a vote, columns of equal length n; simulated and excluded participants already left out.

    A participant votes in one arm, an arm shows one set of generated images, and an image is either
    generated or real.
    """

    participant: np.ndarray
    """str [n]"""

    arm: np.ndarray
    """str [n]"""

    images: np.ndarray
    """str [n]: the set of generated images that the arm shows (on real and generated trials alike)."""

    image: np.ndarray
    """str [n]: id of the image shown."""

    trial: np.ndarray
    """int64 [n]: 1, 2, ... within the participant."""

    generated: np.ndarray
    """bool [n]: the truth."""

    answered_generated: np.ndarray
    """bool [n]"""

    response_seconds: np.ndarray
    """float64 [n], NaN where unknown."""

    feedback: np.ndarray
    """bool [n]: the participant was told after each answer whether it was right."""

    control: np.ndarray
    """bool [n]: the image is a positive control, an obvious fake: who looks calls it generated. It tells
    whether people did the task, and is no part of anything else."""

    exposure_ms: np.ndarray
    """float64 [n]: how long a staircase had the image shown, NaN where it stayed or where unknown."""

    shown_ms: np.ndarray
    """float64 [n]: how long it really was on the screen, NaN where it stayed or where unknown."""

    frame_ms: np.ndarray
    """float64 [n]: how long the display shows one frame, NaN where unknown."""

    def __len__(self) -> int:
        return len(self.participant)

    @property
    def wrong(self) -> np.ndarray:
        """bool [n]"""
        return self.answered_generated != self.generated

    def chosen(self, rows: np.ndarray) -> "Votes":
        """Some of the votes, by a mask or by indices."""
        return Votes(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def judged(self) -> "Votes":
        """Those that are no positive controls."""
        return self.chosen(~self.control)
