"""A small game in float64 that keeps all it is given: images, latents, and the random numbers of its
layers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convergan.networks.noise import GaussianNoise
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.training import batch, players
from convergan.training.step import Game
from small_game import game_of

RATE = 0.003


@dataclass
class Recorded:
    """A game, and what it was given since the last `clear`."""

    passes: list[list[Tensor]] = field(default_factory=list)
    """For each pass through the discriminator the noise, or the kept ones, of each layer that draws any."""
    latents: list[Tensor] = field(default_factory=list)
    real: list[Any] = field(default_factory=list)
    """Batches of the discriminator's steps."""
    matched: list[Tensor] = field(default_factory=list)
    """Unlabelled images of the generator's steps."""
    shown: list[Tensor] = field(default_factory=list)
    """What the networks were initialized from."""
    game: Game = field(init=False)
    state: Any = field(init=False)

    def clear(self) -> None:
        for kept in (self.passes, self.latents, self.real, self.matched):
            kept.clear()

    def network(self, name: str) -> Any:
        return self.game.players[name].network

    def step(self, position: int) -> None:
        self.clear()
        self.state.position = position
        self.game.step(self.state, RATE)

    def noises(self, number: int, sizes: Sequence[int]) -> list[list[Tensor]]:
        """The noise of a pass for each of its groups."""
        parts = [layer.split(list(sizes)) for layer in self.passes[number]]
        return [[layer[group] for layer in parts] for group in range(len(sizes))]


@contextmanager
def in_double() -> Iterator[None]:
    """Makes tensors of float64 unless told otherwise."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def recorded_game(
    recipe: Recipe, shape: tuple[int, int, int], patch: pytest.MonkeyPatch, labelled: int = 9
) -> Recorded:
    """A game of a recipe in float64, with fresh noise, on images of a shape (height, width, channels).

    To be called, and used, within `in_double`.
    """
    recorded = Recorded()
    hardware = HardwareSettings(accelerator="cpu", precision="fp32", noise="fresh")

    def kept(function: Callable[..., Any], where: list[Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            where.append(function(*arguments, **keywords))
            return where[-1]

        return call

    def in_double_too(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *arguments: function(*arguments).double()

    def draw(layer: GaussianNoise, like: Tensor) -> Tensor | None:
        if not layer.training or layer.stdev == 0:
            return None
        recorded.passes[-1].append(torch.randn_like(like))
        return recorded.passes[-1][-1]

    def drop(layer: nn.Dropout, inputs: Tensor) -> Tensor:
        if not layer.training or layer.p == 0:
            return inputs
        recorded.passes[-1].append((torch.rand_like(inputs) >= layer.p).to(inputs.dtype))
        return inputs * recorded.passes[-1][-1] / (1 - layer.p)

    def initialize(network: nn.Module, inputs: Tensor) -> Any:
        recorded.shown.append(inputs)
        return initialize_from_data(network, inputs)

    def build(*arguments: Any) -> Any:
        network = build_discriminator(*arguments)
        network.register_forward_pre_hook(lambda *_: recorded.passes.append([]))
        return network

    initialize_from_data, build_discriminator = (
        players.initialize_from_data,
        players.build_discriminator,
    )
    patch.setattr(GaussianNoise, "draw", draw)
    patch.setattr(nn.Dropout, "forward", drop)
    patch.setattr(players, "initialize_from_data", initialize)
    patch.setattr(players, "build_discriminator", build)
    for module in (players, batch):
        patch.setattr(module, "to_network", in_double_too(module.to_network))
    recipe = replace(recipe, hardware=hardware, baseline=False)
    recorded.game, recorded.state = game_of(recipe, shape, labelled)
    batches, generator = recorded.game.batches, recorded.network("generator")
    patch.setattr(batches, "real", kept(batches.real, recorded.real))
    patch.setattr(batches, "matched", kept(batches.matched, recorded.matched))
    patch.setattr(generator, "latent", kept(generator.latent, recorded.latents))
    return recorded
