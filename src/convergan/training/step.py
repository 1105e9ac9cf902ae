"""One step of training: the images, the loss and the update of each player."""

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
    """The players with their losses and images, and their steps."""

    device: torch.device
    players: Mapping[str, Player]
    losses: Mapping[str, Loss]
    batches: BatchSource
    noise: StepNoise
    hardware: HardwareSettings
    generator_steps: int
    simultaneous: bool
    """True if the losses of both players come from one forward pass."""

    discriminator_dtype: torch.dtype
    """Type in which the matrix products of the discriminator's and the baseline's steps are computed."""

    progress: Callable[[], float]
    """Function that returns the share of the training's steps that are done, in [0, 1)."""

    def step(self, state: TrainingState, learning_rate: float) -> tuple[Parts, Tensor]:
        """Take the step of all players at `state.position` of the epoch.

        Returns:
            The parts of all losses by `<player>/<part>`, and a tensor [2] with the means of D(x) over the
            unlabelled images and of D(G(z)) over the generated images, which are NaN without a generator.
        """
        parts: Parts = {}
        position = state.position
        self.noise.prepare(state.step)
        begin_step(self.hardware, self.device)
        with state.streams["game"]():
            needs = self.losses["discriminator"].needs
            if "generator" in self.players or TEACHER in needs:
                needs |= {UNLABELLED}
            if self.batches.shares_real and LABELLED in needs:
                needs -= {UNLABELLED}
            batch = self.batches.real(position, needs)
            for name in ("discriminator", "generator"):
                if name in self.players:
                    self.players[name].network.train()
            if self.simultaneous:
                outputs, player_parts = self.simultaneous_step(batch, learning_rate)
                parts.update(player_parts)
            else:
                outputs, discriminator_parts = self.discriminator_step(batch, learning_rate)
                parts.update(_prefixed("discriminator", discriminator_parts))
                if "generator" in self.players:
                    parts.update(_prefixed("generator", self.turns(position, learning_rate)))
        if "baseline" in self.players and LABELLED in batch.groups:
            with state.streams["baseline"]():
                baseline_parts = self.baseline_step(batch, learning_rate)
            parts.update(_prefixed("baseline", baseline_parts))
        return parts, self.scores(outputs)

    def discriminator_step(self, batch: Batch, learning_rate: float) -> tuple[TermOutputs, Parts]:
        """Take a step of the discriminator on the batch and, if there is a generator, on generated images.

        There is one forward pass, except for groups through which no term is differentiated: these have a
        pass without gradients before it, which takes a third of the time. Without a generator, groups that no
        term uses are left out.
        """
        player, loss = self.players["discriminator"], self.losses["discriminator"]
        # The teacher's running statistics must be those of the images that it classifies.
        used_groups = loss.needs | ({UNLABELLED} if TEACHER in loss.needs else set())
        if "generator" in self.players:
            with torch.no_grad():
                generated = self.players["generator"].local(self.latent())
            whole_batch = batch.with_group(GENERATED, generated)
        else:
            whole_batch = batch.select(used_groups)
        without_gradient = (used_groups - loss.needs_gradient_of) & whole_batch.groups.keys()
        groups: dict[str, DiscriminatorOutput] = {}
        with self.autocast():
            if without_gradient:
                with torch.no_grad():
                    groups = _group_outputs(
                        player,
                        player.local,
                        whole_batch.select(without_gradient),
                        whole_batch.running,
                    )
            with_gradient = whole_batch.select(whole_batch.groups.keys() - without_gradient)
            groups |= _group_outputs(player, player.wrapped, with_gradient, whole_batch.running)
        outputs = self.term_outputs("discriminator", groups, batch)
        parts = loss(outputs)
        player.step(total(parts), learning_rate)
        return outputs, parts

    def turns(self, position: int, learning_rate: float) -> Parts:
        """Take the steps of the generator after one of the discriminator; return the means of the parts of
        their losses.
        """
        with _frozen(self.players["discriminator"]):
            turns = [
                self.generator_step(position, turn, learning_rate)
                for turn in range(self.generator_steps)
            ]
        return {name: torch.stack([parts[name] for parts in turns]).mean() for name in turns[0]}

    def generator_step(self, position: int, turn: int, learning_rate: float) -> Parts:
        """Take a step of the generator through the discriminator, whose weights are frozen."""
        # Unwrapped, the discriminator's gradients are not synchronized.
        judge, player = self.players["discriminator"], self.players["generator"]
        loss = self.losses["generator"]
        groups: dict[str, DiscriminatorOutput] = {}
        compares_halves = judge.network.compares_halves
        if UNLABELLED in loss.needs and not compares_halves:
            with torch.no_grad():
                groups[UNLABELLED] = _output_alone(judge, self.batches.matched(position, turn))
        generated = player.wrapped(self.latent())
        if compares_halves:
            # Real and generated images in one batch, as in the discriminator's step.
            matched = self.batches.matched(position, turn)
            batch = Batch({UNLABELLED: matched, GENERATED: generated})
            groups = _group_outputs(judge, judge.local, batch, batch.running)
            groups[UNLABELLED] = _detached(groups[UNLABELLED])
        else:
            groups[GENERATED] = _output_alone(judge, generated)
        parts = loss(self.term_outputs("generator", groups))
        player.step(total(parts), learning_rate)
        return parts

    def simultaneous_step(self, batch: Batch, learning_rate: float) -> tuple[TermOutputs, Parts]:
        """Take a step of both players from one forward pass, as the authors do on ImageNet.

        Each player is updated by the gradient of its own loss, computed with the old weights of both. The
        step is in float32, which the generator needs.
        """
        discriminator, generator = self.players["discriminator"], self.players["generator"]
        batch = batch.with_group(GENERATED, generator.local(self.latent()))
        groups = _group_outputs(discriminator, discriminator.local, batch, batch.running)
        outputs = self.term_outputs("discriminator", groups, batch)
        parts = self.losses["discriminator"](outputs)
        groups = {**outputs.groups, UNLABELLED: _detached(outputs.groups[UNLABELLED])}
        generator_parts = self.losses["generator"](self.term_outputs("generator", groups))
        gradients = [
            torch.autograd.grad(total(loss), player.trained, retain_graph=True, allow_unused=True)
            for player, loss in ((discriminator, parts), (generator, generator_parts))
        ]
        for player, player_gradients in zip((discriminator, generator), gradients, strict=True):
            for weight, gradient in zip(player.trained, player_gradients, strict=True):
                if gradient is None:
                    weight.grad = None
                    continue
                # With the memory layout of the weight, on which fused optimizers rely.
                weight.grad = torch.empty_like(weight)
                weight.grad.copy_(sum_over_ranks(gradient) / ranks())
            player.move(learning_rate)
        all_parts = _prefixed("discriminator", parts) | _prefixed("generator", generator_parts)
        return outputs, all_parts

    def baseline_step(self, batch: Batch, learning_rate: float) -> Parts:
        """Take a step of the baseline, which is that of the discriminator on labelled images only."""
        player = self.players["baseline"]
        player.network.train()
        labelled = Batch({LABELLED: batch[LABELLED]}, batch.labels)
        with self.autocast():
            groups = _group_outputs(player, player.wrapped, labelled, labelled.running)
        parts = self.losses["baseline"](self.term_outputs("baseline", groups, labelled))
        player.step(total(parts), learning_rate)
        return parts

    def latent(self) -> Tensor:
        """Latent vectors for one batch of generated images."""
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
        """A context with the precision of the steps of discriminator and baseline."""
        reduced = self.discriminator_dtype
        return torch.autocast(self.device.type, reduced, enabled=reduced != torch.float32)

    def term_outputs(
        self, name: str, groups: Mapping[str, DiscriminatorOutput], batch: Batch | None = None
    ) -> TermOutputs:
        """The inputs of the terms of a player."""
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


def _group_outputs(
    player: Player, network: nn.Module, batch: Batch, running: str
) -> dict[str, DiscriminatorOutput]:
    """The outputs of a player's network, or of a module that wraps it, for each group of a batch.

    The group `running`, if it is in the batch, updates the running statistics.
    """
    moving = [index for index, name in enumerate(batch.groups) if name == running]
    with groups_of_batch(player.network, batch.sizes, moving), batch_of_ranks(batch.sizes):
        return batch.split(network(batch.images, batch.sizes))


def _output_alone(player: Player, images: Tensor) -> DiscriminatorOutput:
    """The output for images in the generator's step, which does not update running statistics."""
    sizes = [len(images)]
    with groups_of_batch(player.network, sizes, running=()), batch_of_ranks(sizes):
        return player.local(images)


def _detached(output: DiscriminatorOutput) -> DiscriminatorOutput:
    return DiscriminatorOutput(*(part.detach() for part in output))


@contextmanager
def _frozen(player: Player) -> Iterator[None]:
    """Compute no gradients of a player's weights in the block, which makes a step through them a third
    cheaper.
    """
    for weight in player.trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in player.trained:
            weight.requires_grad_(True)
