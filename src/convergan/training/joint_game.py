"""A step of several trainings at once. Each game has its own images, noise and losses; their networks compute
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convergan.networks.interface import DiscriminatorOutput
from convergan.networks.stacked import (
    Noises,
    StackedDiscriminator,
    StackedGenerator,
    draw_noises,
)
from convergan.training.batch import GENERATED, LABELLED, UNLABELLED, Batch
from convergan.training.loop import StepResult, Turn
from convergan.training.objective import total
from convergan.training.step import Parts
from convergan.training.terms.term import TermOutputs


@dataclass(frozen=True, kw_only=True)
class _GeneratorInputs:
    """Random inputs of one generator step of a game."""

    matched: Tensor | None
    """Real images [rows, pixels]; None if no term compares generated images with them."""

    matched_noises: Noises
    latent: Tensor
    noises: Noises


@dataclass(frozen=True, kw_only=True)
class _StepInputs:
    """Random inputs of a step of one game, in the order in which `Game.step` draws them."""

    batch: Batch
    latent: Tensor
    noises: Noises
    generator_steps: list[_GeneratorInputs]
    baseline_noises: Noises


class JointGame:
    """The games of trainings that differ only in their seed, whose networks compute together.

    A step is that of `Game` with alternating players; numbers differ from it only in their last digits. The
    networks are those of `networks.stacked`, which take over the weights.

    Args:
        turns: the next step of each training.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        def networks(name: str) -> list[Any]:
            return [turn.game.players[name].network for turn in turns]

        self._discriminators = StackedDiscriminator(networks("discriminator"))
        self._generators = StackedGenerator(networks("generator"))
        self._baselines = None
        if "baseline" in turns[0].game.players:
            self._baselines = StackedDiscriminator(networks("baseline"))
        self._image_shape = networks("generator")[0].image_shape

    def step(self, turns: Sequence[Turn]) -> list[StepResult]:
        """Take the step of all players of all games; return the result of `Game.step` for each game."""
        inputs = [_draw(turn) for turn in turns]
        outputs, discriminator_parts = self._discriminator_step(turns, inputs)
        generator_parts = self._turns(turns, inputs)
        baseline_parts: list[Parts] = [{} for _ in turns]
        if self._baselines is not None:
            baseline_parts = self._baseline_step(self._baselines, turns, inputs)
        results: list[StepResult] = []
        for index, turn in enumerate(turns):
            parts = {
                f"{name}/{part}": value
                for name, player_parts in (
                    ("discriminator", discriminator_parts),
                    ("generator", generator_parts),
                    ("baseline", baseline_parts),
                )
                for part, value in player_parts[index].items()
            }
            results.append((parts, turn.game.scores(outputs[index])))
        return results

    def _discriminator_step(
        self, turns: Sequence[Turn], inputs: Sequence[_StepInputs]
    ) -> tuple[list[TermOutputs], list[Parts]]:
        with torch.no_grad():
            generated = self._generators(
                torch.stack([game_inputs.latent for game_inputs in inputs])
            )
        real = torch.stack([game_inputs.batch.images.flatten(1) for game_inputs in inputs])
        with turns[0].game.autocast():
            logits, features = self._discriminators(
                torch.cat([real, generated], dim=1), [game_inputs.noises for game_inputs in inputs]
            )
        outputs: list[TermOutputs] = []
        parts: list[Parts] = []
        for turn, game_inputs, images, *output in zip(
            turns, inputs, generated, logits.unbind(), features.unbind(), strict=True
        ):
            batch = game_inputs.batch.with_group(GENERATED, images.unflatten(1, self._image_shape))
            groups = batch.split(DiscriminatorOutput(*output))
            outputs.append(turn.game.term_outputs("discriminator", groups, game_inputs.batch))
            parts.append(turn.game.losses["discriminator"](outputs[-1]))
        _move("discriminator", self._discriminators, turns, parts)
        return outputs, parts

    def _turns(self, turns: Sequence[Turn], inputs: Sequence[_StepInputs]) -> list[Parts]:
        """Take the steps of the generators, with the discriminators frozen; return the means of the parts of
        their losses.
        """
        self._discriminators.requires_grad(False)
        turn_parts = [
            self._generator_step(turns, list(turn_inputs))
            for turn_inputs in zip(
                *(game_inputs.generator_steps for game_inputs in inputs), strict=True
            )
        ]
        self._discriminators.requires_grad(True)
        return [
            {
                name: torch.stack([parts[name] for parts in game_parts]).mean()
                for name in game_parts[0]
            }
            for game_parts in zip(*turn_parts, strict=True)
        ]

    def _generator_step(
        self, turns: Sequence[Turn], inputs: Sequence[_GeneratorInputs]
    ) -> list[Parts]:
        groups: list[dict[str, DiscriminatorOutput]] = [{} for _ in turns]
        matched = [game_inputs.matched for game_inputs in inputs if game_inputs.matched is not None]
        if matched:
            with torch.no_grad():
                real_output = self._discriminators(
                    torch.stack(matched), [game_inputs.matched_noises for game_inputs in inputs]
                )
            _add(groups, UNLABELLED, *real_output)
        generated = self._generators(torch.stack([game_inputs.latent for game_inputs in inputs]))
        _add(
            groups,
            GENERATED,
            *self._discriminators(generated, [game_inputs.noises for game_inputs in inputs]),
        )
        parts = [
            turn.game.losses["generator"](turn.game.term_outputs("generator", game_groups))
            for turn, game_groups in zip(turns, groups, strict=True)
        ]
        _move("generator", self._generators, turns, parts)
        return parts

    def _baseline_step(
        self, baselines: StackedDiscriminator, turns: Sequence[Turn], inputs: Sequence[_StepInputs]
    ) -> list[Parts]:
        labelled = torch.stack([game_inputs.batch[LABELLED].flatten(1) for game_inputs in inputs])
        with turns[0].game.autocast():
            outputs = baselines(labelled, [game_inputs.baseline_noises for game_inputs in inputs])
        parts: list[Parts] = []
        for turn, game_inputs, *output in zip(
            turns, inputs, *(part.unbind() for part in outputs), strict=True
        ):
            batch = Batch({LABELLED: game_inputs.batch[LABELLED]}, game_inputs.batch.labels)
            groups = batch.split(DiscriminatorOutput(*output))
            parts.append(
                turn.game.losses["baseline"](turn.game.term_outputs("baseline", groups, batch))
            )
        _move("baseline", baselines, turns, parts)
        return parts


def _draw(turn: Turn) -> _StepInputs:
    """Draw all random numbers of a step in advance, which is possible because none depends on an output."""
    game, state = turn.game, turn.state
    players, position = game.players, state.position
    game.noise.prepare(state.step)
    for player in players.values():
        player.network.train()
    discriminator, generator_loss = players["discriminator"].network, game.losses["generator"]
    with state.streams["game"]():
        batch = game.batches.real(position, game.losses["discriminator"].needs | {UNLABELLED})
        latent = game.latent()
        with game.autocast():
            noises = draw_noises(discriminator, sum(batch.sizes) + len(latent))
        steps: list[_GeneratorInputs] = []
        for number in range(game.generator_steps):
            matched, matched_noises = None, []
            if UNLABELLED in generator_loss.needs:
                matched = game.batches.matched(position, number).flatten(1)
                matched_noises = draw_noises(discriminator, len(matched))
            latent_of_step = game.latent()
            steps.append(
                _GeneratorInputs(
                    matched=matched,
                    matched_noises=matched_noises,
                    latent=latent_of_step,
                    noises=draw_noises(discriminator, len(latent_of_step)),
                )
            )
    baseline_noises: Noises = []
    if "baseline" in players:
        with state.streams["baseline"](), game.autocast():
            baseline_noises = draw_noises(players["baseline"].network, len(batch[LABELLED]))
    return _StepInputs(
        batch=batch,
        latent=latent,
        noises=noises,
        generator_steps=steps,
        baseline_noises=baseline_noises,
    )


def _add(
    groups: Sequence[dict[str, DiscriminatorOutput]], name: str, logits: Tensor, features: Tensor
) -> None:
    """Add the outputs for a group of images to those of each game."""
    for game_groups, *output in zip(groups, logits.unbind(), features.unbind(), strict=True):
        game_groups[name] = DiscriminatorOutput(*output)


def _move(
    name: str,
    networks: StackedDiscriminator | StackedGenerator,
    turns: Sequence[Turn],
    parts: Sequence[Parts],
) -> None:
    """Update the players with a name, each by the gradient of its own loss."""
    torch.stack([total(game_parts) for game_parts in parts]).sum().backward()
    networks.hand_on_gradients()
    for turn in turns:
        turn.game.players[name].move(turn.learning_rate)
