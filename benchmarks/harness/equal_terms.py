"""Equal terms for a recipe and its peer."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from convergan.networks.build import build_discriminator
from convergan.recipes.settings import Recipe
from convergan.training.preparation import Preparation, image_shape

WORKERS = [0, *(2**power for power in range((os.cpu_count() or 1).bit_length()))]
"""Numbers of processes that may decode for a peer's `DataLoader`; the best one counts."""


def without_baseline(
    recipe: Recipe, data: Path | None = None, device: Literal["cpu", "cuda"] = "cpu"
) -> Recipe:
    """The recipe without a baseline, as the peer has none, on one device and on the images of a folder."""
    return replace(
        recipe,
        baseline=False,
        data=replace(recipe.data, path=data or recipe.data.path),
        hardware=replace(recipe.hardware, accelerator=device),
    )


def networks_range(preparation: Preparation) -> tuple[float, float]:
    """The range of pixels that a recipe's networks take."""
    shape, classes = image_shape(preparation.data), len(preparation.data.classes)
    return build_discriminator(preparation.recipe.networks, shape, classes).pixel_range
