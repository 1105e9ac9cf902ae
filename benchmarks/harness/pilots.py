"""Short trainings that tell how long a step takes."""

from collections.abc import Callable

PILOT_STEPS = (20, 80)
"""Steps of the two trainings whose difference tells what a step takes."""

PILOT_SECONDS = 5
"""Smallest difference between the two trainings. A smaller one is mostly noise: the second is then repeated
with more steps."""


def step_seconds(measure: Callable[[int], float]) -> float:
    """Seconds of a step, without what a training starts with.

    Args:
        measure: trains for a number of steps and returns the seconds of that, of the CPU or of the clock.
    """
    first, second = PILOT_STEPS
    start = measure(first)
    while (difference := measure(second) - start) < PILOT_SECONDS:
        second *= 4
    return difference / (second - first)
