"""The steps of the players: against the same updates written out by hand."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from convergan.errors import UserError
from convergan.json_files import read_json
from convergan.networks.classification import classified
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.files import read_recipe
from convergan.recipes.networks import ResidualSettings
from convergan.recipes.settings import Recipe
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.generator_losses import minimax_generator_loss
from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss
from convergan.training import computation, step
from convergan.training.run import train
from convergan.training.step import Game
from convergan.training.terms.supervised import Supervised
from small_game import OBJECTIVE, RECIPE, game_of

RATE = 0.01


class Adam:
    """Adam with the epsilon outside of the root, written out."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self.settings = recipe.optimizer
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.first = [torch.zeros_like(weight) for weight in self.weights]
        self.second = [torch.zeros_like(weight) for weight in self.weights]
        self.steps = 0

    def gradients(self, loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, self.weights, retain_graph=True))

    def move(self, gradients: list[Tensor]) -> None:
        beta1, beta2 = self.settings.beta1, self.settings.beta2
        self.steps += 1
        for number, (weight, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            self.first[number] = beta1 * self.first[number] + (1 - beta1) * gradient
            self.second[number] = beta2 * self.second[number] + (1 - beta2) * gradient**2
            first = self.first[number] / (1 - beta1**self.steps)
            second = self.second[number] / (1 - beta2**self.steps)
            weight.data -= RATE * first / (second.sqrt() + self.settings.epsilon)


def latents_of(game: Game, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """A list that fills with the latents as the game draws them."""
    generator, latents = game.players["generator"].network, []
    draw = generator.latent

    def recorded(*arguments: Any) -> Tensor:
        latents.append(draw(*arguments))
        return latents[-1]

    monkeypatch.setattr(generator, "latent", recorded)
    return latents


def discriminator_loss(discriminator: nn.Module, groups: dict[str, Tensor], labels: Tensor) -> Any:
    logits = {name: discriminator(images).logits for name, images in groups.items()}
    return semi_supervised_loss(
        logits["labelled"],
        labels,
        logits["unlabelled"],
        logits["generated"],
        unsupervised_weight=0.7,
    ).total


def generator_loss(discriminator: nn.Module, real: Tensor, generated: Tensor) -> Tensor:
    judged, features = discriminator(generated), discriminator(real).features.detach()
    distance = feature_matching_loss(features, judged.features, reduction="mean")
    return 2 * distance + 0.3 * minimax_generator_loss(real_probability_logit(judged.logits))


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_steps_are_those_written_out_by_hand(update: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, objective=replace(OBJECTIVE, update=update))
    game, state = game_of(recipe)
    players = [game.players[name].network for name in ("discriminator", "generator")]
    discriminator, generator = (copy.deepcopy(network).train() for network in players)
    adams = Adam(discriminator, recipe), Adam(generator, recipe)
    latents = latents_of(game, monkeypatch)
    for position in range(3):
        state.position = position
        latents.clear()
        game.step(state, RATE)
        batch = game.batches.real(position, {"labelled", "unlabelled"})
        assert batch.labels is not None
        generated = generator(latents[0])
        groups = {**batch.groups, "generated": generated.detach()}
        discriminator_gradients = adams[0].gradients(
            discriminator_loss(discriminator, groups, batch.labels)
        )
        if update == "simultaneous":
            assert len(latents) == 1
            real = batch["unlabelled"]
            generator_gradients = adams[1].gradients(generator_loss(discriminator, real, generated))
            adams[0].move(discriminator_gradients)
        else:
            adams[0].move(discriminator_gradients)
            real, generated = game.batches.matched(position, 0), generator(latents[1])
            generator_gradients = adams[1].gradients(generator_loss(discriminator, real, generated))
        adams[1].move(generator_gradients)
    for player, by_hand in zip(players, (discriminator, generator), strict=True):
        for weight, expected in zip(player.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-6)


def test_simultaneous_steps_train_and_differ_from_alternating_ones() -> None:
    weights = []
    for update in ("alternating", "simultaneous"):
        game, state = game_of(replace(RECIPE, objective=replace(OBJECTIVE, update=update)))
        earlier_generator = copy.deepcopy(game.players["generator"].network)
        parts, scores = game.step(state, RATE)
        assert all(part.isfinite() for part in parts.values()) and scores.shape == (2,)
        weights.append(torch.cat([w.flatten() for w in game.players["generator"].trained]))
        moved = zip(earlier_generator.parameters(), game.players["generator"].trained, strict=False)
        assert any(not torch.equal(weight, now) for weight, now in moved)
    assert not torch.equal(*weights)


def test_a_simultaneous_step_moves_weights_that_lie_channels_last_against_their_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Gradients that several ranks have added up have a memory layout of their own.
    monkeypatch.setattr(
        step,
        "sum_over_ranks",
        lambda gradient: gradient.clone(memory_format=torch.contiguous_format),
    )
    recipe = replace(
        RECIPE,
        networks=ResidualSettings(width=4, generator_width=8),
        objective=replace(OBJECTIVE, update="simultaneous"),
    )
    game, state = game_of(recipe, shape=(8, 8, 3))
    copies = {name: copy.deepcopy(player.network) for name, player in game.players.items()}
    game.step(state, RATE)
    for name in ("discriminator", "generator"):
        network, earlier = game.players[name].network, dict(copies[name].named_parameters())
        for weight_name, weight in network.named_parameters():
            if weight.grad is None or not weight.requires_grad:
                continue
            assert weight.grad.stride() == weight.stride()
            # Adam's first step goes against the sign of each gradient.
            clear = weight.grad.abs() > 1e-4
            moved = (weight - earlier[weight_name]).sign()
            assert torch.equal(moved[clear], -weight.grad.sign()[clear])


def test_the_discriminators_weights_can_move_again_after_a_generators_step_that_fails() -> None:
    game, state = game_of(RECIPE)

    def fail(*_: Any) -> Any:
        raise RuntimeError

    game.players["generator"].wrapped = fail
    with pytest.raises(RuntimeError):
        game.step(state, RATE)
    assert all(weight.requires_grad for weight in game.players["discriminator"].trained)


def test_the_teacher_is_the_average_and_sees_the_weak_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game, _ = game_of(replace(RECIPE, augmentation=AugmentationSettings(kind="digits", shift=0.5)))
    player = game.players["discriminator"]
    with torch.no_grad():
        for weight in player.tested.parameters():
            weight.mul_(1.5)
    assert player.tested is not player.network
    monkeypatch.setattr(Supervised, "needs", Supervised.needs | {"teacher", "strong"})
    batch = game.batches.real(0, {"labelled", "unlabelled", "strong"})
    expected = classified(player.tested, batch["unlabelled"])
    outputs, _ = game.discriminator_step(batch, RATE)
    assert outputs.teacher is not None
    assert torch.equal(outputs.teacher.logits, expected.logits)


def test_simultaneous_updates_are_recorded_as_what_they_are(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a CPU that has units for bf16.
    monkeypatch.setattr(computation, "_has_bf16_units", lambda device: True)
    objective = replace(quick_recipe.objective, update="simultaneous")
    recipe = replace(quick_recipe, objective=objective, epochs=2)
    train(recipe, tmp_path / "run", console=quiet)
    assert read_json(tmp_path / "run" / "manifest.json")["precision"] == "32-true"
    assert read_recipe(tmp_path / "run" / "recipe.yaml").objective.is_simultaneous
    with pytest.raises(UserError, match=r"hardware\.precision: expected auto or fp32 where"):
        replace(recipe, hardware=replace(recipe.hardware, precision="bf16"))
    with pytest.raises(UserError, match=r"hardware\.compile: expected off where objective.update"):
        replace(recipe, hardware=replace(recipe.hardware, compile=True))
    with pytest.raises(UserError, match=r"objective\.generator-steps: expected 1 where update"):
        replace(objective, generator_steps=2)
