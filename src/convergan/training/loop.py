"""The training loop: epochs, checkpoints, health."""

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.networks.interface import Discriminator
from convergan.networks.interface import Generator as GeneratorNetwork
from convergan.networks.precision import without_tf32
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.runs.epochs import EpochRecord
from convergan.training.batch import UNLABELLED, BatchSource, batch_sizes
from convergan.training.checkpointing import Checkpointer, LoopOptions
from convergan.training.computation import discriminator_dtype, memory_layout, resolved_precision
from convergan.training.health import NotFinite
from convergan.training.launch import on_every_rank
from convergan.training.meter import LossMeter
from convergan.training.noise import StepNoise
from convergan.training.objective import losses_of
from convergan.training.observer import Observer, Silent
from convergan.training.samples import diversity
from convergan.training.selection import validation_errors
from convergan.training.state import TrainingState
from convergan.training.step import Game, Parts


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The outcome of a training: networks with the EMA weights of the last epoch, or of the best by
    validation.
    """

    discriminator: Discriminator
    baseline: Discriminator | None
    generator: GeneratorNetwork | None
    """Generator; None if no term uses generated images."""
    epoch: int
    """Epoch after which the discriminator was taken, from 1."""
    train_seconds: float
    shared_seconds: float = 0.0
    """Seconds of work, before this training, that it shares with others; not part of `train_seconds`."""


class Turn(NamedTuple):
    """A step that a training is about to take."""

    game: Game
    state: TrainingState
    learning_rate: float


StepResult = tuple[Parts, Tensor]
"""Result of `Game.step`: the parts of all losses, and the scores."""


@without_tf32()
def fit(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    checkpoints: Path | None = None,
    observer: Observer | None = None,
    options: LoopOptions | None = None,
) -> Fitted:
    """Train the players of a recipe, from the newest checkpoint in `checkpoints` if there is one.

    Only checkpoints are written, and nothing is printed. Arguments and errors are those of `course`.
    """
    steps = course(
        device, recipe, data, checkpoints=checkpoints, observer=observer, options=options
    )
    try:
        turn = next(steps)
        while True:
            turn = steps.send(turn.game.step(turn.state, turn.learning_rate))
    except StopIteration as end:
        fitted: Fitted = end.value
        return fitted


def course(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    checkpoints: Path | None = None,
    observer: Observer | None = None,
    options: LoopOptions | None = None,
) -> Generator[Turn, StepResult, Fitted]:
    """The course of a training without its steps: a generator that yields each step and is sent its result.

    Args:
        device: device of this process; of several processes that train together, each has its own.
        recipe: all settings.
        data: the images, and the labels to learn from.
        checkpoints: folder for checkpoints; without one, none are written.
        observer: callbacks after each step and each epoch.
        options: options of checkpoints, stopping and divergence.

    Raises:
        Interrupted: a stop was requested; a checkpoint has been written, if there is a folder for it.
        UserError: a loss or a weight is not finite, and rolling back, if on, did not help.
    """
    # 1. Images on the device; players, their losses, optimizers and EMAs.
    observer, options = observer or Silent(), options or LoopOptions()
    total_steps = steps_in_all(recipe, len(data.unlabelled))
    images = DeviceImages(data.images, device, resident_bytes=recipe.data.resident_bytes)
    losses = losses_of(recipe.objective)
    precision = resolved_precision(recipe.hardware, device, recipe.networks)
    state = TrainingState(device, recipe, data, images, losses)
    batches = BatchSource(
        images,
        data,
        recipe,
        steps=math.ceil(total_steps / recipe.epochs),
        pixel_range=state.players["discriminator"].network.pixel_range,
        memory_format=memory_layout(device, state.players["discriminator"].network),
    )
    game = Game(
        device=device,
        players=state.players,
        losses=losses,
        batches=batches,
        noise=StepNoise(recipe, [player.network for player in state.players.values()], device),
        hardware=recipe.hardware,
        generator_steps=recipe.objective.generator_steps,
        simultaneous=recipe.objective.is_simultaneous and "generator" in losses,
        discriminator_dtype=discriminator_dtype(precision),
        progress=lambda: state.step / total_steps,
    )
    meter = LossMeter(device)

    # 2. The state where an earlier process stopped. There is always a checkpoint to roll back to.
    checkpointer = Checkpointer(device, checkpoints, options)
    if not checkpointer.restore(state):
        checkpointer.save(state)
    on_every_rank(lambda: observer.begins_after(state.epochs_done, checkpointer.warning))
    clock = _Clock(state, options.time_share)

    while state.epochs_done < recipe.epochs:
        # 3. The order of this epoch's images, which depends only on seed and epoch, so that a run
        #    that is resumed in the middle has the same order.
        batches.begin_epoch(state.epochs_done)
        steps = steps_of_epoch(total_steps, recipe.epochs, state.epochs_done)
        not_finite: NotFinite | None = None
        while state.position < steps:
            # 4. A step of all players.
            rate = _learning_rate(recipe, state, game.progress())
            not_finite = meter.add(state, *(yield Turn(game, state, rate)))
            if not_finite:
                break
            state.step += 1
            state.position += 1
            clock.update(state)
            observer.steps_done(state.step, total_steps)

            # 5. A checkpoint between two steps of an epoch.
            if state.position < steps and checkpointer.is_due(state.step):
                not_finite = meter.look() or state.find_not_finite()
                if not_finite:
                    break
                checkpointer.save(state)
                checkpointer.stop_if_requested()

        # 6. Divergence: stop, or roll back to the last good checkpoint and continue more slowly.
        not_finite = not_finite or meter.look() or state.find_not_finite()
        if not_finite:
            warning = checkpointer.go_back(state, not_finite)
            on_every_rank(partial(observer.begins_after, state.epochs_done, warning))
            clock.begin_epoch(state)
            continue

        # 7. The end of the epoch: its record, and whether it is the best by validation.
        mean_losses, real_score, generated_score = meter.means(state, steps)
        spread = diversity(state.players.get("generator"), images, data.unlabelled, recipe.seed)
        errors: dict[str, int] = {}
        for name, best in state.best.items() if len(data.validation) else ():
            tested = state.players[name].tested
            errors[name] = validation_errors(tested, images, data)
            best.offer(state.epochs_done + 1, errors[name], tested)
        state.epochs_done += 1
        judged = state.health.epoch(state.epochs_done, spread, real_score, generated_score)
        clock.update(state)
        record = EpochRecord(
            epoch=state.epochs_done,
            step=state.step,
            train_seconds=state.train_seconds,
            seconds_per_epoch=clock.seconds_per_epoch(steps),
            learning_rate=rate,
            losses=mean_losses,
            real_score=real_score,
            generated_score=generated_score,
            diversity=spread,
            validation_errors=errors.get("discriminator"),
            validation_size=len(data.validation),
            warnings=[*state.warnings, *judged],
        )
        state.warnings, state.position, state.epoch_sums = [], 0, None
        on_every_rank(partial(observer.epoch_ended, record, state.players))
        clock.begin_epoch(state)
        last = state.epochs_done == recipe.epochs
        if last or checkpointer.is_due(state.step):
            checkpointer.save(state)
            if not last:
                checkpointer.stop_if_requested()

    # 8. The weights that are the result of the run.
    return _fitted(state)


def _learning_rate(recipe: Recipe, state: TrainingState, progress: float) -> float:
    """The learning rate of the next step, after a share `progress` of all steps."""
    settings = recipe.optimizer
    if settings.decay_by == "epochs" and progress >= settings.warmup:
        # Only the fall is by epochs, not the warmup.
        progress = max(settings.warmup, state.epochs_done / recipe.epochs)
    return learning_rate(settings, progress, state.rollbacks)


class _Clock:
    """Clock of a training, over this process and earlier ones.

    Args:
        state: state of the training.
        share: share of the elapsed time that counts.
    """

    def __init__(self, state: TrainingState, share: float) -> None:
        self._seconds_before, self._start = state.train_seconds, time.monotonic()
        self._share = share
        self.begin_epoch(state)

    def begin_epoch(self, state: TrainingState) -> None:
        """Start the clock of an epoch that begins or continues at `state.position`."""
        self._epoch_start, self._first_position = time.monotonic(), state.position

    def update(self, state: TrainingState) -> None:
        """Update `state.train_seconds`."""
        passed = time.monotonic() - self._start
        state.train_seconds = self._seconds_before + self._share * passed

    def seconds_per_epoch(self, steps: int) -> float:
        """Estimated time of the whole epoch, from the steps that this process has taken."""
        share = (steps - self._first_position) / steps
        passed = time.monotonic() - self._epoch_start
        return self._share * passed / max(share, 1 / steps)


def _fitted(state: TrainingState) -> Fitted:
    """The networks with the weights of the last epoch, or of the best by validation."""
    for name, best in state.best.items():
        if best.weights is not None:
            state.players[name].tested.load_state_dict(best.weights)
    best = state.best["discriminator"]
    baseline, generator = state.players.get("baseline"), state.players.get("generator")
    return Fitted(
        discriminator=state.players["discriminator"].tested.eval(),
        baseline=None if baseline is None else baseline.tested.eval(),
        generator=None if generator is None else generator.tested.eval(),
        epoch=state.epochs_done if best.weights is None else best.epoch,
        train_seconds=state.train_seconds,
    )


def steps_in_all(recipe: Recipe, unlabelled: int) -> int:
    """Number of steps of a training on so many unlabelled images."""
    if recipe.steps is not None:
        return recipe.steps
    size = batch_sizes(recipe)[UNLABELLED]
    batches = unlabelled // size if recipe.drop_remainder else math.ceil(unlabelled / size)
    return recipe.epochs * max(batches, recipe.min_steps_per_epoch)


def steps_of_epoch(steps: int, epochs: int, epoch: int) -> int:
    """Number of steps of an epoch, counted from 0, if all steps are divided evenly and longer epochs come
    first.
    """
    return steps // epochs + (epoch < steps % epochs)


def learning_rate(settings: OptimizerSettings, progress: float, halvings: int) -> float:
    """The learning rate of the discriminator after a share `progress` of the run, in [0, 1), halved
    `halvings` times.
    """
    rate = settings.learning_rate * 0.5**halvings
    if progress < settings.warmup:
        return rate * progress / settings.warmup
    if progress < settings.decay_from:
        return rate
    left = (1 - progress) / (1 - settings.decay_from)
    return rate * ((1 - math.cos(math.pi * left)) / 2 if settings.decay == "cosine" else left)
