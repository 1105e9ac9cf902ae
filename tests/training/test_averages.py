"""Averages of weights (EMA): those that start from zero, as the authors' do, and those of the generator."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convergan.networks.layers import BatchNormWithoutGain
from convergan.recipes.settings import Recipe
from convergan.training.state import TrainingState
from convergan.training.step import Game
from small_game import RECIPE, game_of

RATE = 0.01


def with_optimizer(**changes: Any) -> Recipe:
    return replace(RECIPE, optimizer=replace(RECIPE.optimizer, **changes), baseline=False)


def values(network: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in network.parameters()]


def take(game: Game, state: TrainingState, steps: int) -> list[list[Tensor]]:
    """Take steps; give the discriminator's weights before each."""
    weights = []
    for step in range(steps):
        weights.append(values(game.players["discriminator"].network))
        state.position = step % 3
        game.step(state, RATE)
        state.step += 1
    return weights


def test_an_average_from_zero_moves_towards_the_weights_before_each_step() -> None:
    game, state = game_of(with_optimizer(averaging_start="zero", averaging_rate=0.01))
    player = game.players["discriminator"]
    assert all(not value.any() for value in values(player.tested))
    expected = [torch.zeros_like(weight) for weight in player.network.parameters()]
    for weights in take(game, state, 4):
        expected = [
            mean + 0.01 * (weight - mean) for mean, weight in zip(expected, weights, strict=True)
        ]
    for mean, value in zip(expected, values(player.tested), strict=True):
        torch.testing.assert_close(value, mean)
    # Gains that are set once and not trained do not start from zero.
    for layer, averaged_layer in zip(player.network.hidden, player.tested.hidden, strict=True):
        assert torch.equal(layer.gain, averaged_layer.gain)


def test_an_average_from_zero_goes_on_from_a_checkpoint() -> None:
    recipe = with_optimizer(averaging_start="zero")
    game, state = game_of(recipe)
    take(game, state, 3)
    saved = copy.deepcopy(state.state_dict())
    other_game, other_state = game_of(recipe)
    other_state.load_state_dict(saved)
    for pair in ((game, state), (other_game, other_state)):
        take(*pair, 2)
    players = (game.players["discriminator"], other_game.players["discriminator"])
    for first, second in zip(*(values(player.tested) for player in players), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("rate", [1.0, 1e-3])
def test_the_generator_is_averaged_if_so_wished(rate: float) -> None:
    game, state = game_of(with_optimizer(generator_averaging_rate=rate, averaging_horizon=1.0))
    player = game.players["generator"]
    weights_by_step = []
    for step in range(3):
        state.position = step
        game.step(state, RATE)
        weights_by_step.append(values(player.network))
    if rate == 1:
        assert player.ema is None and player.tested is player.network
        return
    # With a horizon of all steps: the mean of the weights after each of them.
    means = [torch.stack(weights).mean(dim=0) for weights in zip(*weights_by_step, strict=True)]
    for mean, value in zip(means, values(player.tested), strict=True):
        torch.testing.assert_close(value, mean)
    # The statistics that samples are normalized by are averaged as the weights are.
    for now, average in zip(player.network.modules(), player.tested.modules(), strict=True):
        if isinstance(now, BatchNormWithoutGain):
            assert now.running_mean is not None and average.running_mean is not None
            assert not torch.equal(now.running_mean, average.running_mean)
            assert average.running_mean.any()
