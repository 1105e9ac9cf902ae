"""How long a timed image is shown: the staircase of HYPE-time (Zhou et al., 2019).

A right answer takes 10 ms, a wrong one gives 30 ms. The steps balance where 10 p = 30 (1 - p): where p = 75 %
of the answers are right (Kaernbach's weighted up-down method, 1991).
"""

FIRST_MS = 500
SHORTEST_MS = 100
LONGEST_MS = 1000
DOWN_MS = 10
UP_MS = 30
TARGET = UP_MS / (UP_MS + DOWN_MS)
"""The share of right answers at which the staircase stays."""

FEWEST_TRIALS = 40
"""A participant's threshold takes more trials than this."""


def next_exposure(exposure_ms: int, correct: bool) -> int:
    """The exposure after an answer to an image that was shown for `exposure_ms`."""
    moved = exposure_ms - DOWN_MS if correct else exposure_ms + UP_MS
    return min(LONGEST_MS, max(SHORTEST_MS, moved))
