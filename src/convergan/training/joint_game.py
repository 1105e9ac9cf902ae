"""A step of several trainings at once: each game its own images, noise and losses, all networks together."""

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
from convergan.training.loop import Taken, Turn
from convergan.training.objective import total
from convergan.training.step import Parts
from convergan.training.terms.term import TermOutputs


@dataclass(frozen=True, kw_only=True)
class _OfGenerator:
    """What a generator's step of one game draws."""

    matched: Tensor | None
    """Real images [rows, pixels]; None where no term compares the generated ones with them."""

    matched_noises: Noises
    latent: Tensor
    noises: Noises


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Everything that the step of one game draws, in the order in which `Game.step` draws it."""

    batch: Batch
    latent: Tensor
    noises: Noises
    of_generator: list[_OfGenerator]
    baseline_noises: Noises


class JointGame:
    """The games of trainings that differ in their seed alone, whose networks compute together.

    A step is that of `Game`, of players that take turns: numbers differ from it in their last digits alone.
    The networks are those of `networks.stacked`; their weights move into the stacks.

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

    def step(self, turns: Sequence[Turn]) -> list[Taken]:
        """Takes the step of all players of all games; gives what `Game.step` does, of each."""
        drawn = [_draw(turn) for turn in turns]
        outputs, of_discriminators = self._discriminator_step(turns, drawn)
        of_generators = self._turns(turns, drawn)
        of_baselines: list[Parts] = [{} for _ in turns]
        if self._baselines is not None:
            of_baselines = self._baseline_step(self._baselines, turns, drawn)
        taken: list[Taken] = []
        for place, turn in enumerate(turns):
            parts = {
                f"{name}/{part}": value
                for name, of_players in (
                    ("discriminator", of_discriminators),
                    ("generator", of_generators),
                    ("baseline", of_baselines),
                )
                for part, value in of_players[place].items()
            }
            taken.append((parts, turn.game.scores(outputs[place])))
        return taken

    def _discriminator_step(
        self, turns: Sequence[Turn], drawn: Sequence[_Drawn]
    ) -> tuple[list[TermOutputs], list[Parts]]:
        with torch.no_grad():
            generated = self._generators(torch.stack([each.latent for each in drawn]))
        real = torch.stack([each.batch.images.flatten(1) for each in drawn])
        with turns[0].game.autocast():
            logits, features = self._discriminators(
                torch.cat([real, generated], dim=1), [each.noises for each in drawn]
            )
        outputs: list[TermOutputs] = []
        parts: list[Parts] = []
        for turn, each, images, *output in zip(
            turns, drawn, generated, logits.unbind(), features.unbind(), strict=True
        ):
            seen = each.batch.with_group(GENERATED, images.unflatten(1, self._image_shape))
            groups = seen.split(DiscriminatorOutput(*output))
            outputs.append(turn.game.term_outputs("discriminator", groups, each.batch))
            parts.append(turn.game.losses["discriminator"](outputs[-1]))
        _move("discriminator", self._discriminators, turns, parts)
        return outputs, parts

    def _turns(self, turns: Sequence[Turn], drawn: Sequence[_Drawn]) -> list[Parts]:
        """The steps of the generators through the discriminators as they are; the means of their parts."""
        self._discriminators.requires_grad(False)
        taken = [
            self._generator_step(turns, list(of_turn))
            for of_turn in zip(*(each.of_generator for each in drawn), strict=True)
        ]
        self._discriminators.requires_grad(True)
        return [
            {name: torch.stack([parts[name] for parts in of_game]).mean() for name in of_game[0]}
            for of_game in zip(*taken, strict=True)
        ]

    def _generator_step(self, turns: Sequence[Turn], drawn: Sequence[_OfGenerator]) -> list[Parts]:
        groups: list[dict[str, DiscriminatorOutput]] = [{} for _ in turns]
        matched = [each.matched for each in drawn if each.matched is not None]
        if matched:
            with torch.no_grad():
                judged = self._discriminators(
                    torch.stack(matched), [each.matched_noises for each in drawn]
                )
            _add(groups, UNLABELLED, *judged)
        generated = self._generators(torch.stack([each.latent for each in drawn]))
        _add(
            groups,
            GENERATED,
            *self._discriminators(generated, [each.noises for each in drawn]),
        )
        parts = [
            turn.game.losses["generator"](turn.game.term_outputs("generator", of_game))
            for turn, of_game in zip(turns, groups, strict=True)
        ]
        _move("generator", self._generators, turns, parts)
        return parts

    def _baseline_step(
        self, baselines: StackedDiscriminator, turns: Sequence[Turn], drawn: Sequence[_Drawn]
    ) -> list[Parts]:
        labelled = torch.stack([each.batch[LABELLED].flatten(1) for each in drawn])
        with turns[0].game.autocast():
            judged = baselines(labelled, [each.baseline_noises for each in drawn])
        parts: list[Parts] = []
        for turn, each, *output in zip(
            turns, drawn, *(part.unbind() for part in judged), strict=True
        ):
            batch = Batch({LABELLED: each.batch[LABELLED]}, each.batch.labels)
            groups = batch.split(DiscriminatorOutput(*output))
            parts.append(
                turn.game.losses["baseline"](turn.game.term_outputs("baseline", groups, batch))
            )
        _move("baseline", baselines, turns, parts)
        return parts


def _draw(turn: Turn) -> _Drawn:
    """Draws all numbers of a step before it: none depends on what a network says."""
    game, state = turn.game, turn.state
    players, position = game.players, state.position
    game.noise.prepare(state.step)
    for player in players.values():
        player.network.train()
    discriminator, of_generator = players["discriminator"].network, game.losses["generator"]
    with state.streams["game"]():
        batch = game.batches.real(position, game.losses["discriminator"].needs | {UNLABELLED})
        latent = game.latent()
        with game.autocast():
            noises = draw_noises(discriminator, sum(batch.sizes) + len(latent))
        steps: list[_OfGenerator] = []
        for number in range(game.generator_steps):
            matched, matched_noises = None, []
            if UNLABELLED in of_generator.needs:
                matched = game.batches.matched(position, number).flatten(1)
                matched_noises = draw_noises(discriminator, len(matched))
            latent_of_step = game.latent()
            steps.append(
                _OfGenerator(
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
    return _Drawn(
        batch=batch,
        latent=latent,
        noises=noises,
        of_generator=steps,
        baseline_noises=baseline_noises,
    )


def _add(
    groups: Sequence[dict[str, DiscriminatorOutput]], name: str, logits: Tensor, features: Tensor
) -> None:
    """Adds the outputs for a group of images to those of each game."""
    for of_game, *output in zip(groups, logits.unbind(), features.unbind(), strict=True):
        of_game[name] = DiscriminatorOutput(*output)


def _move(
    name: str,
    networks: StackedDiscriminator | StackedGenerator,
    turns: Sequence[Turn],
    parts: Sequence[Parts],
) -> None:
    """Moves the players of a name against the gradients of their own losses."""
    torch.stack([total(of_game) for of_game in parts]).sum().backward()
    networks.hand_on_gradients()
    for turn in turns:
        turn.game.players[name].move(turn.learning_rate)
