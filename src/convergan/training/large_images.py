"""Refusal of images that are too large for the networks, before they are decoded."""

import numpy as np
import torch

from convergan.data.encoded_source import Source
from convergan.data.image_set import UNLABELLED
from convergan.data.image_sizes import first_size, sensible_size_px
from convergan.data.splits import number_of_folds
from convergan.data.training_data import TrainingData
from convergan.distributed import ranks
from convergan.errors import UserError
from convergan.page.words import approximate_duration
from convergan.recipes.networks import ModuleSettings
from convergan.recipes.settings import Recipe
from convergan.training.loop import steps_in_all
from convergan.training.memory import device_cost
from convergan.training.trial import run_seconds, step_seconds
from convergan.units import bytes_in_words

LARGEST_UNASKED_PX = 256
"""Longest side of images that are trained on in their own size if no size is set, in pixels."""


def require_size(device: torch.device, recipe: Recipe, source: Source) -> None:
    """Check the size in the header of the first image: large photographs must be resized.

    Raises:
        UserError: the image is larger than 256 px and `data.size_px` is not set. The message states the
            memory and the time for training on such images and on images of a sensible size. It does not for
            custom networks, which may not accept images of that size.
    """
    size = None if recipe.data.size_px is not None else first_size(source)
    if size is None or max(size) <= LARGEST_UNASKED_PX:
        return
    height, width = size
    smaller_px = sensible_size_px(height, width)
    expected = (
        f"data.size-px: expected a size, as the images have more than {LARGEST_UNASKED_PX} px, got none and "
        f"images of {width}x{height} px"
    )
    if isinstance(recipe.networks, ModuleSettings):
        raise UserError(f"{expected}; data.size-px {smaller_px} resizes all")
    shapes = ((recipe.data.channels or 3, side[0], side[1]) for side in (size, (smaller_px,) * 2))
    costs = [device_cost(recipe, shape, 2, device=device, processes=ranks()) for shape in shapes]
    memory = [bytes_in_words(cost.memory_bytes) for cost in costs]
    time, smaller_time = "", ""
    # With `minutes`, the duration is known.
    if ranks() == 1 and recipe.minutes is None:
        seconds = _seconds(device, recipe, source, smaller_px)
        ratio = costs[0].step_operations / costs[1].step_operations
        time, smaller_time = (
            f" and {approximate_duration(seconds * ratio)}",
            f" and {approximate_duration(seconds)}",
        )
    raise UserError(
        f"{expected}, on which training takes about {memory[0]} of memory{time}; "
        f"--data.size-px {smaller_px} resizes all, for about {memory[1]}{smaller_time}, and half that size "
        "for about a quarter"
    )


def _seconds(device: torch.device, recipe: Recipe, source: Source, side_px: int) -> float:
    """Estimated duration of all trainings in seconds, from a few steps on noise of the size `side_px`."""
    rows = 2 * recipe.batch_size
    shape = (rows, side_px, side_px, recipe.data.channels or 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    indices, no_images = np.arange(rows), np.empty(0, dtype=np.int64)
    data = TrainingData(
        images=noise,
        labelled=indices,
        labels=indices % 2,
        unlabelled=indices,
        validation=no_images,
        validation_labels=no_images,
        classes=("first", "second"),
    )
    labelled = recipe.objective.is_supervised and bool(source.classes)
    folds = number_of_folds(recipe.data, source, recipe.labels) if labelled else 0
    trainings = folds + 1
    if source.test is not None:
        test_size = len(source.test.names)
    else:
        test_size = int((source.train.labels != UNLABELLED).sum())
    return run_seconds(
        step_seconds(device, recipe, data),
        device_cost(recipe, (shape[3], side_px, side_px), 2, device=device),
        steps=trainings * steps_in_all(recipe, len(source.train.names)),
        epochs=recipe.epochs,
        test_size=test_size,
    )
