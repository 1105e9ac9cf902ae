"""Estimate of the time that training takes, from a few steps that leave nothing behind."""

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
"""Steps of a trial; the first, in which memory is claimed and code compiled, is not timed."""

_COMPILED_STEPS = 4
"""First steps that are not timed where code is compiled: a GPU's CUDA graphs are recorded in the second and
the third."""

_PATIENCE_SECONDS = 10.0
"""Time after which a single process ends the trial early; several processes always take all steps."""

_TESTED_IMAGES = 256

CLASSIFICATIONS_PER_EPOCH = 3
"""Classifications of each test image in an epoch: by averaged weights, raw weights and the baseline."""


class _Enough(Exception):
    """Raised to end the trial."""


class _Stopwatch(Silent):
    """Measures the mean duration of steps, after those of the start."""

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
        """The time at which the device has done what it was told."""
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
    """The mean duration of a step of all players, in seconds. Every rank must call it.

    Args:
        device: device to train on.
        recipe: all settings.
        data: the images.
        steps: number of steps to take, the first among them; where code is compiled some more before them.
        patience_seconds: time of the others after which a single process takes no more of them.
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
    some = data.unlabelled[:_TESTED_IMAGES]
    # The first batch of a size is slower: what it takes is prepared then.
    classify(network, images, some)
    start = time.monotonic()
    classify(network, images, some)
    return (time.monotonic() - start) / len(some)


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
