"""The bank from which the noise layers of all players take their numbers."""

from collections.abc import Iterable

import torch
from torch import nn

from convergan.networks.noise import NoiseBank, use_bank
from convergan.recipes.settings import Recipe
from convergan.training.computation import uses_noise_bank
from convergan.training.randomness import derived_seed

STEPS_OF_NOISE = 500
"""Steps between two fillings of the bank."""


class StepNoise:
    """The noise of a training: a bank, if one is used, that is refilled every few hundred steps.

    Its numbers depend only on the seed and the step, so that a resumed run has the same.
    """

    def __init__(self, recipe: Recipe, networks: Iterable[nn.Module], device: torch.device) -> None:
        self._seed = recipe.seed
        self._bank = NoiseBank(device) if uses_noise_bank(recipe.hardware, device) else None
        self._filling = -1
        for network in networks:
            use_bank(network, self._bank)

    def prepare(self, step: int) -> None:
        """Refill the bank, if that is due at a step, counted from 0 over the whole training."""
        filling = step // STEPS_OF_NOISE
        if self._bank is not None and filling != self._filling:
            self._filling = filling
            self._bank.fill(derived_seed(self._seed, 4, 0, filling))
