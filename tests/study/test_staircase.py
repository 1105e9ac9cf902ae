"""The staircase: where it goes, and that it finds what an observer needs."""

import math
import random

import pytest

from convergan.study.staircase import (
    FIRST_MS,
    LONGEST_MS,
    SHORTEST_MS,
    TARGET,
    next_exposure,
    threshold,
)


def test_steps_and_limits():
    assert next_exposure(500, True) == 490
    assert next_exposure(500, False) == 530
    assert next_exposure(105, True) == SHORTEST_MS == 100
    assert next_exposure(990, False) == LONGEST_MS == 1000
    assert TARGET == 0.75


def p_right(exposure_ms: float, middle_ms: float, width_ms: float) -> float:
    """A logistic observer: from guessing to certain, 75 % at `middle_ms`."""
    return 0.5 + 0.5 / (1 + math.exp((middle_ms - exposure_ms) / width_ms))


@pytest.mark.parametrize("middle_ms", [300, 500, 700])
def test_the_mean_of_1000_observers_is_where_75_percent_are_right(middle_ms):
    randomness = random.Random(middle_ms)
    found = []
    for _ in range(1000):
        exposure, exposures = FIRST_MS, []
        for _ in range(150):
            exposures.append(exposure)
            right = randomness.random() < p_right(exposure, middle_ms, 40)
            exposure = next_exposure(exposure, right)
        found.append(threshold(exposures))
    assert abs(sum(found) / len(found) - middle_ms) < 10


def test_a_threshold_needs_exposures_beyond_the_settling():
    assert threshold([500] * 40 + [300, 310]) == 305
    assert math.isnan(threshold([500] * 40))
    assert math.isnan(threshold([math.nan] * 100))
