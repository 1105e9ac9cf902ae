"""Estimate of the time that training takes, from a few steps whose results are discarded."""

import math
import time
from contextlib import suppress
from dataclasses import replace

import torch

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.distributed import ranks
from convergan.networks.build import build_discriminator
from convergan.recipes.settings import Recipe
from convergan.training.checkpointing import LoopOptions
from convergan.training.classify import classify
from convergan.training.computation import memory_layout
from convergan.training.cost import Cost
from convergan.training.loop import fit
from convergan.training.observer import Silent

_STEPS = 5
"""Steps of a trial. The first, in which memory is allocated, is not timed."""

_COMPILED_STEPS = 4
"""Number of first steps that are not timed if code is compiled: CUDA graphs are recorded in the second and
third."""

_PATIENCE_SECONDS = 10.0
"""Time after which a single process ends a trial early; several processes always take all steps."""

_TESTED_IMAGES = 256

CLASSIFICATIONS_PER_EPOCH = 3
"""Classifications of each test image in an epoch: by EMA weights, raw weights and the baseline."""


class _Enough(Exception):
    """Exception that ends a trial."""


class _Stopwatch(Silent):
    """Stopwatch for the mean duration of steps after the first ones."""

    def __init__(
        self, device: torch.device, *, untimed: int, steps: int, patience_seconds: float
    ) -> None:
        self.seconds = math.nan
        self._device, self._untimed, self._steps = device, untimed, steps
        self._patience_seconds = patience_seconds
        self._begin = 0.0

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        timed = done - self._untimed
        if timed == 0:
            self._begin = self._now()
        elif timed == self._steps or (
            timed > 0 and time.monotonic() - self._begin > self._patience_seconds
        ):
            self.seconds = (self._now() - self._begin) / timed
            raise _Enough

    def _now(self) -> float:
        """The time at which the device has finished its work."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.monotonic()


def step_seconds(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    steps: int = _STEPS,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> float:
    """The mean duration of a step of all players, in seconds. Every rank must call this function.

    Args:
        device: device to train on.
        recipe: all settings.
        data: the images.
        steps: number of steps to take, including the first; if code is compiled, a few more precede them.
        patience_seconds: time, after the first step, after which a single process takes no more steps.
    """
    untimed = _COMPILED_STEPS if recipe.hardware.compile else 1
    stopwatch = _Stopwatch(
        device,
        untimed=untimed,
        steps=steps - 1,
        patience_seconds=patience_seconds if ranks() == 1 else math.inf,
    )
    fewest = max(recipe.min_steps_per_epoch, untimed + steps)
    recipe = replace(recipe, steps=None, min_steps_per_epoch=fewest)
    with suppress(_Enough):
        fit(device, recipe, data, checkpoints=None, observer=stopwatch, options=LoopOptions())
    return stopwatch.seconds


def classification_seconds(device: torch.device, recipe: Recipe, data: TrainingData) -> float:
    """The mean duration of classifying an image, in seconds."""
    _, height, width, channels = data.images.shape
    with torch.random.fork_rng(devices=[]):
        network = build_discriminator(
            recipe.networks, (channels, height, width), max(len(data.classes), 1)
        )
    network = network.to(device, memory_format=memory_layout(device, network)).eval()  # type: ignore[call-overload]
    images = DeviceImages(data.images, device, resident_bytes=0)
    indices = data.unlabelled[:_TESTED_IMAGES]
    # The first batch of a size is slower, because it needs preparation.
    classify(network, images, indices)
    start = time.monotonic()
    classify(network, images, indices)
    return (time.monotonic() - start) / len(indices)


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
