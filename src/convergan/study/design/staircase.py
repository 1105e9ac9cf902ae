"""Exposure of timed images: the staircase of HYPE-time (Zhou et al., 2019).

A right answer shortens the exposure by 10 ms, a wrong one lengthens it by 30 ms. The steps balance where
10 p = 30 (1 - p): where p = 75 % of the answers are right (Kaernbach's weighted up-down method, 1991).
"""

FIRST_MS = 500
SHORTEST_MS = 100
LONGEST_MS = 1000
DOWN_MS = 10
UP_MS = 30
TARGET = UP_MS / (UP_MS + DOWN_MS)
"""Share of right answers at which the staircase settles."""

FEWEST_TRIALS = 40
"""Number of trials that a participant must exceed to have a threshold."""


def next_exposure(exposure_ms: int, correct: bool) -> int:
    """Return the exposure, in ms, after an answer to an image that was shown for `exposure_ms`."""
    moved = exposure_ms - DOWN_MS if correct else exposure_ms + UP_MS
    return min(LONGEST_MS, max(SHORTEST_MS, moved))
