"""How long training takes, from a few steps of it that leave nothing behind."""

import statistics
import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

from lightning_fabric import Fabric

from convergan.data.training_data import TrainingData
from convergan.recipes.settings import Recipe
from convergan.training.checkpointing import LoopOptions
from convergan.training.cost import Cost
from convergan.training.loop import fit
from convergan.training.observer import Silent

_STEPS = 4
"""The first, in which memory is claimed and code compiled, is not timed."""

_PATIENCE_SECONDS = 10.0
"""Of slow steps one process is content with fewer; several must agree on their number."""

CLASSIFICATIONS_PER_EPOCH = 3
"""Of every test image: by the averaged weights, by the weights as they are, by the baseline."""


class _Enough(Exception):
    """The trial may end."""


class _Stopwatch(Silent):
    """Notes when each step ended."""

    def __init__(self, *, patient: bool) -> None:
        self.times: list[float] = []
        self._patient = patient
        self._start = time.monotonic()

    def steps_done(self, done: int, of: int) -> None:
        """See `Observer`."""
        self.times.append(time.monotonic())
        late = not self._patient and self.times[-1] - self._start > _PATIENCE_SECONDS
        if len(self.times) == _STEPS or (late and len(self.times) >= 2):
            raise _Enough


def step_seconds(fabric: Fabric, recipe: Recipe, data: TrainingData) -> float:
    """Seconds that a step of all players takes: the median of a few. Every rank must call it."""
    stopwatch = _Stopwatch(patient=fabric.world_size > 1)
    recipe = replace(recipe, min_steps_per_epoch=max(recipe.min_steps_per_epoch, _STEPS))
    with suppress(_Enough):
        fit(fabric, recipe, data, checkpoints=None, observer=stopwatch, options=LoopOptions())
    return statistics.median(end - start for start, end in pairwise(stopwatch.times))


def run_seconds(seconds: float, cost: Cost, *, steps: int, epochs: int, test_size: int) -> float:
    """Seconds of all trainings together.

    Args:
        seconds: of a step.
        cost: of a step, and of classifying a test image, which takes as long in proportion.
        steps: of all trainings together.
        epochs: of each training.
        test_size: images of all trainings' tests, which follow each epoch.
    """
    tested = CLASSIFICATIONS_PER_EPOCH * test_size * epochs
    return seconds * (steps + tested * cost.test_operations / max(cost.step_operations, 1))
