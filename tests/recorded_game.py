"""A game that keeps all it is given: images, latents, and the random numbers of its layers.

`step_alike` gives the same to the re-implementation of the authors' code.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from authors.game import SemiSupervisedGame
from convergan.networks.noise import GaussianNoise
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.training import batch, players
from convergan.training.batch import Batch, BatchSource
from convergan.training.state import TrainingState
from convergan.training.step import Game
from small_game import game_of

HARDWARE = HardwareSettings(accelerator="cpu", precision="fp32", noise="fresh")


@dataclass
class Recorded:
    """The inputs of a game since the last `clear`."""

    passes: list[list[Tensor]] = field(default_factory=list)
    """The noise or dropout mask of each layer that draws one, for each pass through the discriminator."""
    latents: list[Tensor] = field(default_factory=list)
    real: list[Batch] = field(default_factory=list)
    """Batches of the discriminator's steps."""
    matched: list[Tensor] = field(default_factory=list)
    """Unlabelled images of the generator's steps."""
    initialization_inputs: list[Tensor] = field(default_factory=list)
    """The inputs that the networks were initialized from; `clear` leaves them."""

    def clear(self) -> None:
        for records in (self.passes, self.latents, self.real, self.matched):
            records.clear()

    def noises(self, number: int, sizes: Sequence[int]) -> list[list[Tensor]]:
        """The noise of a pass for each of its groups."""
        parts = [layer.split(list(sizes)) for layer in self.passes[number]]
        return [[layer[group] for layer in parts] for group in range(len(sizes))]


@contextmanager
def in_double() -> Iterator[None]:
    """Make tensors of float64 unless told otherwise."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def record(patch: pytest.MonkeyPatch) -> Recorded:
    """Make every game that is built from now on keep what it is given, in torch's default precision."""
    recorded = Recorded()

    def record_calls(owner: Any, name: str, records: list[Any]) -> None:
        function = getattr(owner, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            records.append(function(*arguments, **keywords))
            return records[-1]

        patch.setattr(owner, name, call)

    def in_default_precision(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *arguments: function(*arguments).to(torch.get_default_dtype())

    def draw(layer: GaussianNoise, template: Tensor) -> Tensor | None:
        if not layer.training or layer.stdev == 0:
            return None
        recorded.passes[-1].append(torch.randn_like(template))
        return recorded.passes[-1][-1]

    def drop(layer: nn.Dropout, inputs: Tensor) -> Tensor:
        if not layer.training or layer.p == 0:
            return inputs
        recorded.passes[-1].append((torch.rand_like(inputs) >= layer.p).to(inputs.dtype))
        return inputs * recorded.passes[-1][-1] / (1 - layer.p)

    def initialize(network: nn.Module, inputs: Tensor) -> Any:
        recorded.initialization_inputs.append(inputs)
        return initialize_from_data(network, inputs)

    def build(*arguments: Any) -> Any:
        network = build_discriminator(*arguments)
        network.register_forward_pre_hook(lambda *_: recorded.passes.append([]))
        return network

    initialize_from_data = players.initialize_from_data
    build_discriminator = players.build_discriminator
    patch.setattr(GaussianNoise, "draw", draw)
    patch.setattr(nn.Dropout, "forward", drop)
    patch.setattr(players, "initialize_from_data", initialize)
    patch.setattr(players, "build_discriminator", build)
    for module in (players, batch):
        patch.setattr(module, "to_network", in_default_precision(module.to_network))
    record_calls(BatchSource, "real", recorded.real)
    record_calls(BatchSource, "matched", recorded.matched)
    record_calls(Game, "latent", recorded.latents)
    return recorded


def recorded_game(
    recipe: Recipe, shape: tuple[int, int, int], patch: pytest.MonkeyPatch, labelled: int = 9
) -> tuple[Recorded, Game, TrainingState]:
    """A game of a recipe with fresh noise, on images of a shape (height, width, channels)."""
    recorded = record(patch)
    recipe = replace(recipe, hardware=HARDWARE, baseline=False)
    return recorded, *game_of(recipe, shape, labelled)


GeneratorLoss = Literal["squared", "absolute", "minimax", "non-saturating"]
"""The generator's loss: feature matching by squared or absolute distances, minimax, or non-saturating."""


def step_alike(
    recorded: Recorded,
    authors_game: SemiSupervisedGame,
    generator_steps: int,
    generator_loss: GeneratorLoss,
    rate: float,
) -> None:
    """Take the step of both players that a game has taken, in the re-implementation of the authors' code."""
    (real,) = recorded.real
    latents = list(recorded.latents)
    noises = recorded.noises(0, [*real.sizes, len(latents[0])])
    labelled = real.groups.get("labelled")
    authors_game.train_discriminator(
        labelled, real.labels, real["unlabelled"], latents.pop(0), noises, rate
    )
    passes = recorded.passes[1:]
    for turn in range(generator_steps):
        if generator_loss in ("squared", "absolute"):
            noise_pair = [passes.pop(0), passes.pop(0)]
            matched = recorded.matched[turn]
            authors_game.match_features(matched, latents.pop(0), noise_pair, rate, generator_loss)
        else:
            non_saturating = generator_loss == "non-saturating"
            authors_game.fool(latents.pop(0), passes.pop(0), rate, non_saturating=non_saturating)
    assert not passes and not latents
