"""A game on a few images of noise, whose steps tests can follow by hand."""

from dataclasses import replace

import numpy as np
import torch

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.recipes.networks import MLPSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    MinimaxSettings,
    RealOrGeneratedSettings,
)
from convergan.training.batch import BatchSource
from convergan.training.noise import StepNoise
from convergan.training.objective import losses_of
from convergan.training.state import TrainingState
from convergan.training.step import Game

OBJECTIVE = ObjectiveSettings(
    real_or_generated=RealOrGeneratedSettings(weight=0.7),
    feature_matching=FeatureMatchingSettings(weight=2.0),
    minimax=MinimaxSettings(weight=0.3),
)

RECIPE = replace(
    PRESETS["digits"],
    batch_size=8,
    # Without noise a forward pass can be repeated.
    networks=MLPSettings(
        hidden=(12, 10), generator_hidden=(9,), latent_size=5, input_noise=0, hidden_noise=0
    ),
    hardware=HardwareSettings(accelerator="cpu", precision="fp32", noise="fresh"),
    objective=OBJECTIVE,
)


def game_of(
    recipe: Recipe, shape: tuple[int, int, int] = (4, 4, 1), labelled: int = 9
) -> tuple[Game, TrainingState]:
    """A game on twenty images of noise, at the first step of the first epoch.

    Args:
        recipe: the settings.
        shape: of an image: height, width, channels.
        labelled: images that have labels, of three classes in turn.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    data = TrainingData(
        images=pixels,
        labelled=np.arange(labelled),
        labels=np.arange(labelled) % 3,
        unlabelled=np.arange(20),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )
    device = torch.device("cpu")
    images = DeviceImages(pixels, resident_bytes=10**6)
    losses = losses_of(recipe.objective)
    state = TrainingState(device, recipe, data, images, losses)
    pixel_range = state.players["discriminator"].network.pixel_range
    batches = BatchSource(images, data, recipe, steps=3, pixel_range=pixel_range)
    batches.begin_epoch(0)
    game = Game(
        device=device,
        players=state.players,
        losses=losses,
        batches=batches,
        noise=StepNoise(recipe, [], device),
        hardware=recipe.hardware,
        generator_steps=recipe.objective.generator_steps,
        simultaneous=recipe.objective.is_simultaneous,
        discriminator_dtype=torch.float32,
        progress=lambda: state.step / 30,
    )
    return game, state
