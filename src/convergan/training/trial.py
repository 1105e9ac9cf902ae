"""Estimate of the time that training takes, from a few steps that leave nothing behind."""

import statistics
import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import torch

from convergan.data.training_data import TrainingData
from convergan.distributed import ranks
from convergan.recipes.settings import Recipe
from convergan.training.checkpointing import LoopOptions
from convergan.training.cost import Cost
from convergan.training.loop import fit
from convergan.training.observer import Silent

_STEPS = 4
"""Steps of a trial; the first, in which memory is claimed and code compiled, is not timed."""

_PATIENCE_SECONDS = 10.0
"""Time after which a single process ends the trial early; several processes always take all steps."""

CLASSIFICATIONS_PER_EPOCH = 3
"""Classifications of each test image in an epoch: by averaged weights, raw weights and the baseline."""


class _Enough(Exception):
    """Raised to end the trial."""


class _Stopwatch(Silent):
    """Records the time at which each step ends."""

    def __init__(self, *, patient: bool) -> None:
        self.times: list[float] = []
        self._patient = patient
        self._start = time.monotonic()

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        self.times.append(time.monotonic())
        late = not self._patient and self.times[-1] - self._start > _PATIENCE_SECONDS
        if len(self.times) == _STEPS or (late and len(self.times) >= 2):
            raise _Enough


def step_seconds(device: torch.device, recipe: Recipe, data: TrainingData) -> float:
    """The median duration of a step of all players, in seconds. Every rank must call it."""
    stopwatch = _Stopwatch(patient=ranks() > 1)
    recipe = replace(recipe, min_steps_per_epoch=max(recipe.min_steps_per_epoch, _STEPS))
    with suppress(_Enough):
        fit(device, recipe, data, checkpoints=None, observer=stopwatch, options=LoopOptions())
    return statistics.median(end - start for start, end in pairwise(stopwatch.times))


def run_seconds(seconds: float, cost: Cost, *, steps: int, epochs: int, test_size: int) -> float:
    """The duration of all trainings and of their tests, in seconds.

    Args:
        seconds: duration of a step.
        cost: operations of a step and of classifying an image, whose durations are taken to be proportional.
        steps: number of steps of all trainings together.
        epochs: number of epochs of each training.
        test_size: number of images that all trainings together are tested on after an epoch.
    """
    tested = CLASSIFICATIONS_PER_EPOCH * test_size * epochs
    return seconds * (steps + tested * cost.test_operations / max(cost.step_operations, 1))
