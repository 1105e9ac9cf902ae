"""How long a timed image is shown: the staircase of HYPE-time (Zhou et al., 2019).

A right answer takes 10 ms, a wrong one gives 30 ms. The steps balance where 10 p = 30 (1 - p): where p = 75 %
of the answers are right (Kaernbach's weighted up-down method, 1991).
"""

import math
from collections.abc import Sequence

FIRST_MS = 500
SHORTEST_MS = 100
LONGEST_MS = 1000
DOWN_MS = 10
UP_MS = 30
TARGET = UP_MS / (UP_MS + DOWN_MS)
"""The share of right answers at which the staircase stays."""


def next_exposure(exposure_ms: int, correct: bool) -> int:
    """The exposure after an answer to an image that was shown for `exposure_ms`."""
    moved = exposure_ms - DOWN_MS if correct else exposure_ms + UP_MS
    return min(LONGEST_MS, max(SHORTEST_MS, moved))


SETTLED = 40
"""Trials that the staircase may take from its start to where it stays."""


def threshold(exposures_ms: Sequence[float]) -> float:
    """The exposure that a participant needs to be right 75 % of the time, in ms: the mean exposure once the
    staircase has settled.

    Args:
        exposures_ms: of the participant's trials, in order; NaN where there was none.

    Returns:
        NaN where there are no exposures after the first 40.
    """
    rest = exposures_ms[SETTLED:]
    return sum(rest) / len(rest) if rest else math.nan
