"""One step of training: what each player sees, its loss, and how its weights move."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convergan.distributed import ranks, sum_over_ranks
from convergan.networks.classification import classified
from convergan.networks.grouped_batch_norm import groups_of_batch
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.settings import HardwareSettings
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.batch import (
    GENERATED,
    LABELLED,
    UNLABELLED,
    Batch,
    BatchSource,
)
from convergan.training.computation import begin_step
from convergan.training.noise import StepNoise
from convergan.training.objective import Loss, total
from convergan.training.player import Player
from convergan.training.state import TrainingState
from convergan.training.terms.term import TEACHER, TermOutputs
from convergan.whole_batch import batch_of_ranks, draw_rows

Parts = dict[str, Tensor]
"""The parts of a player's loss, each a scalar, by name."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """The players with their losses and their images, and the steps that they take."""

    device: torch.device
    players: Mapping[str, Player]
    losses: Mapping[str, Loss]
    batches: BatchSource
    noise: StepNoise
    hardware: HardwareSettings
    generator_steps: int
    simultaneous: bool
    """Whether both players' losses come from one forward pass."""

    discriminator_dtype: torch.dtype
    """What the matrix products of the steps of discriminator and baseline are computed in."""

    progress: Callable[[], float]
    """The share of the training's steps that are done."""

    def step(self, state: TrainingState, learning_rate: float) -> tuple[Parts, Tensor]:
        """Takes the step of all players at `state.position` of the epoch.

        Returns:
            The parts of all losses as `<player>/<part>`, and the means of D(x) over the unlabelled images and
            of D(G(z)) over the generated ones, [2], which are NaN without a generator.
        """
        parts: Parts = {}
        position = state.position
        self.noise.prepare(state.step)
        begin_step(self.hardware, self.device)
        with state.streams["game"]():
            wanted = self.losses["discriminator"].needs
            if "generator" in self.players or TEACHER in wanted:
                wanted |= {UNLABELLED}
            if self.batches.shares_real and LABELLED in wanted:
                wanted -= {UNLABELLED}
            batch = self.batches.real(position, wanted)
            for name in ("discriminator", "generator"):
                if name in self.players:
                    self.players[name].network.train()
            if self.simultaneous:
                outputs, of_players = self.simultaneous_step(batch, learning_rate)
                parts.update(of_players)
            else:
                outputs, of_discriminator = self.discriminator_step(batch, learning_rate)
                parts.update(_prefixed("discriminator", of_discriminator))
                if "generator" in self.players:
                    parts.update(_prefixed("generator", self.turns(position, learning_rate)))
        if "baseline" in self.players and LABELLED in batch.groups:
            with state.streams["baseline"]():
                of_baseline = self.baseline_step(batch, learning_rate)
            parts.update(_prefixed("baseline", of_baseline))
        return parts, self.scores(outputs)

    def discriminator_step(self, batch: Batch, learning_rate: float) -> tuple[TermOutputs, Parts]:
        """A step of the discriminator: the batch and, if any, generated images, in one forward pass.

        Groups through which no term is differentiated are judged before, without gradients, which takes a
        third of the time. Without a generator unlabelled images that no term looks at are left out.
        """
        player, loss = self.players["discriminator"], self.losses["discriminator"]
        # The teacher's running statistics are to be those of the images that it is shown.
        watched = loss.needs | ({UNLABELLED} if TEACHER in loss.needs else set())
        if "generator" in self.players:
            with torch.no_grad():
                generated = self.players["generator"].local(self.latent())
            seen = batch.with_group(GENERATED, generated)
        else:
            seen = batch.only(watched)
        apart = (watched - loss.needs_gradient_of) & seen.groups.keys()
        groups: dict[str, DiscriminatorOutput] = {}
        with self.autocast():
            if apart:
                with torch.no_grad():
                    groups = _judged(player, player.local, seen.only(apart), seen.running)
            learnt = seen.only(seen.groups.keys() - apart)
            groups |= _judged(player, player.wrapped, learnt, seen.running)
        outputs = self.term_outputs("discriminator", groups, batch)
        parts = loss(outputs)
        player.step(total(parts), learning_rate)
        return outputs, parts

    def turns(self, position: int, learning_rate: float) -> Parts:
        """The steps of the generator that follow one of the discriminator; gives the means of their parts."""
        with _frozen(self.players["discriminator"]):
            turns = [
                self.generator_step(position, turn, learning_rate)
                for turn in range(self.generator_steps)
            ]
        return {name: torch.stack([parts[name] for parts in turns]).mean() for name in turns[0]}

    def generator_step(self, position: int, turn: int, learning_rate: float) -> Parts:
        """A step of the generator through the discriminator as it is, whose weights are frozen."""
        # Unwrapped, the discriminator's gradients are not synchronized.
        judge, player = self.players["discriminator"], self.players["generator"]
        loss = self.losses["generator"]
        groups: dict[str, DiscriminatorOutput] = {}
        compares_halves = judge.network.compares_halves
        if UNLABELLED in loss.needs and not compares_halves:
            with torch.no_grad():
                groups[UNLABELLED] = _judged_alone(judge, self.batches.matched(position, turn))
        generated = player.wrapped(self.latent())
        if compares_halves:
            # Real ones beside the generated, as in the discriminator's step.
            matched = self.batches.matched(position, turn)
            batch = Batch({UNLABELLED: matched, GENERATED: generated})
            groups = _judged(judge, judge.local, batch, batch.running)
            groups[UNLABELLED] = _detached(groups[UNLABELLED])
        else:
            groups[GENERATED] = _judged_alone(judge, generated)
        parts = loss(self.term_outputs("generator", groups))
        player.step(total(parts), learning_rate)
        return parts

    def simultaneous_step(self, batch: Batch, learning_rate: float) -> tuple[TermOutputs, Parts]:
        """A step of both players from one forward pass, as the authors take it on ImageNet.

        Each moves against the gradient of its own loss by its own weights; neither sees the other's new
        weights. All of it is in float32, which the generator needs.
        """
        discriminator, generator = self.players["discriminator"], self.players["generator"]
        batch = batch.with_group(GENERATED, generator.local(self.latent()))
        groups = _judged(discriminator, discriminator.local, batch, batch.running)
        outputs = self.term_outputs("discriminator", groups, batch)
        parts = self.losses["discriminator"](outputs)
        groups = {**outputs.groups, UNLABELLED: _detached(outputs.groups[UNLABELLED])}
        of_generator = self.losses["generator"](self.term_outputs("generator", groups))
        gradients = [
            torch.autograd.grad(total(loss), player.trained, retain_graph=True, allow_unused=True)
            for player, loss in ((discriminator, parts), (generator, of_generator))
        ]
        for player, of_player in zip((discriminator, generator), gradients, strict=True):
            for weight, gradient in zip(player.trained, of_player, strict=True):
                if gradient is None:
                    weight.grad = None
                    continue
                # It lies in memory as the weight does, which fused optimizers rely on.
                weight.grad = torch.empty_like(weight)
                weight.grad.copy_(sum_over_ranks(gradient) / ranks())
            player.move(learning_rate)
        both = _prefixed("discriminator", parts) | _prefixed("generator", of_generator)
        return outputs, both

    def baseline_step(self, batch: Batch, learning_rate: float) -> Parts:
        """A step of the baseline: the discriminator's, on the labelled images alone."""
        player = self.players["baseline"]
        player.network.train()
        labelled = Batch({LABELLED: batch[LABELLED]}, batch.labels)
        with self.autocast():
            groups = _judged(player, player.wrapped, labelled, labelled.running)
        parts = self.losses["baseline"](self.term_outputs("baseline", groups, labelled))
        player.step(total(parts), learning_rate)
        return parts

    def latent(self) -> Tensor:
        """The noise of one batch of generated images."""
        generator, rows = self.players["generator"].network, self.batches.sizes[GENERATED]
        with batch_of_ranks([rows]):
            return draw_rows(lambda rows: generator.latent(rows, self.device), rows)

    @torch.no_grad()
    def scores(self, outputs: TermOutputs) -> Tensor:
        """The means of D(x) and of D(G(z)), [2]."""
        if "generator" not in self.players:
            return torch.full((2,), torch.nan, device=self.device)
        scores = [
            torch.sigmoid(real_probability_logit(outputs[group].logits)).mean()
            for group in (UNLABELLED, GENERATED)
        ]
        return torch.stack(scores)

    def autocast(self) -> torch.autocast:
        """The precision of the steps of discriminator and baseline."""
        reduced = self.discriminator_dtype
        return torch.autocast(self.device.type, reduced, enabled=reduced != torch.float32)

    def term_outputs(
        self, name: str, groups: Mapping[str, DiscriminatorOutput], batch: Batch | None = None
    ) -> TermOutputs:
        """What the terms of a player see."""
        teacher = None
        if batch is not None and TEACHER in self.losses[name].needs:
            with self.autocast():
                teacher = classified(self.players["discriminator"].tested, batch[UNLABELLED])
        if self.batches.shares_real and LABELLED in groups:
            groups = {**groups, UNLABELLED: groups[LABELLED]}
        return TermOutputs(
            groups=groups,
            labels=None if batch is None else batch.labels,
            teacher=teacher,
            history=self.players[name].history,
            progress=self.progress(),
        )


def _prefixed(player: str, parts: Parts) -> Parts:
    return {f"{player}/{name}": part for name, part in parts.items()}


def _judged(
    player: Player, network: nn.Module, batch: Batch, running: str
) -> dict[str, DiscriminatorOutput]:
    """The output for each group of a batch of a player's network, or of what wraps it.

    The group `running`, if it is among them, moves the running statistics.
    """
    moving = [place for place, name in enumerate(batch.groups) if name == running]
    with groups_of_batch(player.network, batch.sizes, moving), batch_of_ranks(batch.sizes):
        return batch.split(network(batch.images, batch.sizes))


def _judged_alone(player: Player, images: Tensor) -> DiscriminatorOutput:
    """The output for images in the generator's step, which leaves running statistics as they are."""
    sizes = [len(images)]
    with groups_of_batch(player.network, sizes, running=()), batch_of_ranks(sizes):
        return player.local(images)


def _detached(output: DiscriminatorOutput) -> DiscriminatorOutput:
    return DiscriminatorOutput(*(part.detach() for part in output))


@contextmanager
def _frozen(player: Player) -> Iterator[None]:
    """The weights take no gradients in the block, which makes a step through them a third cheaper."""
    for weight in player.trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in player.trained:
            weight.requires_grad_(True)
