"""Joint training of the members of an ensemble: each step of all members is one computation."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from math import prod

import torch

from convergan.distributed import ranks
from convergan.errors import UserError
from convergan.networks.precision import without_tf32
from convergan.recipes.networks import MLPSettings
from convergan.recipes.settings import Recipe
from convergan.runs.checkpoints import checkpoint_steps, drop_newest_checkpoint
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.folder import RunFolder
from convergan.training.joint_game import JointGame
from convergan.training.loop import Fitted, StepResult, Turn
from convergan.training.objective import losses_of
from convergan.training.options import RunOptions
from convergan.training.preparation import Preparation, image_shape
from convergan.training.progress import TrainingProgress
from convergan.training.recorder import Display
from convergan.training.signals import Interrupted
from convergan.training.terms.term import HISTORY, TEACHER
from convergan.training.trainer import Trainer, progress_entry
from convergan.training.trainings import trainings_of

_MAX_JOINT_WEIGHTS = 300_000
"""Largest number of weights of a discriminator for which members are trained together by default. With ten
members, a CPU is 1.5 times as fast for `digits` (160,000 weights) and 1.1 times as fast for `mnist`
(1,500,000 weights): docs/performance.md."""

_Course = Generator[Turn, StepResult, Fitted]


def trains_together(preparation: Preparation, device: torch.device, options: RunOptions) -> bool:
    """True if the members of an ensemble are to be trained together.

    Raises:
        UserError: the recipe asks for it, but it is not possible.
    """
    recipe = preparation.recipe
    mode = recipe.hardware.members
    obstacle = _obstacle(recipe, options)
    if mode == "together" and obstacle is not None:
        raise UserError(f"hardware.members: expected auto or apart {obstacle}, got together")
    if mode != "auto" or obstacle is not None:
        return mode == "together"
    return device.type == "cpu" and _weights(preparation) <= _MAX_JOINT_WEIGHTS


def _obstacle(recipe: Recipe, options: RunOptions) -> str | None:
    """The reason, in words, why members cannot be trained together; None if they can."""
    losses = losses_of(recipe.objective)
    needs = frozenset().union(*(loss.needs for loss in losses.values()))
    if not isinstance(recipe.networks, MLPSettings) or recipe.networks.minibatch_kernels:
        return "for networks other than perceptrons without minibatch discrimination"
    if (
        recipe.networks.normalization_epsilon is not None
        or recipe.networks.sample_batch is not None
    ):
        return "with networks.normalization-epsilon or networks.sample-batch"
    if "generator" not in losses:
        return "without a generator"
    if recipe.objective.others:
        return "with custom terms"
    if recipe.objective.shared_real_batch:
        return "with objective.shared-real-batch"
    if recipe.objective.is_simultaneous:
        return "where objective.update is simultaneous"
    discriminator = losses["discriminator"]
    if needs & {HISTORY, TEACHER} or discriminator.needs_gradient_of != discriminator.needs:
        return "with terms that use the history of weights, or images without a gradient"
    if recipe.hardware.compile:
        return "with hardware.compile"
    if ranks() > 1:
        return "with several processes"
    if options.on_divergence == "rollback":
        return "with --on-divergence rollback"
    return None


def _weights(preparation: Preparation) -> int:
    """Number of weights of a discriminator, without biases and gains."""
    networks = preparation.recipe.networks
    assert isinstance(networks, MLPSettings)
    widths = [prod(image_shape(preparation.data)), *networks.hidden, len(preparation.data.classes)]
    return sum(first * second for first, second in pairwise(widths))


def train_together(
    trainers: Sequence[Trainer],
    preparations: Sequence[Preparation],
    title: str,
    stop_requested: Callable[[], bool],
) -> None:
    """Train the members of an ensemble to the last checkpoint of each, or as far as they can be trained
    together.

    The checkpoints are as if each member had been trained by itself, and of the same steps in all members:
    the trainer of a member continues from them, and usually finds nothing left to do.

    Args:
        trainers: trainers of the members.
        preparations: images and recipes of the members.
        title: title of the joint training in the progress.
        stop_requested: called before each step; if it returns True, all members write a checkpoint and
            `Interrupted` is raised.
    """
    first = trainers[0]
    pace = _Pace(first.options.checkpoint_every_seconds, stop_requested)
    for trainer in trainers:
        trainer.stop_requested = lambda: pace.stops
    for number, trainings in enumerate(
        zip(*(trainings_of(preparation) for preparation in preparations), strict=True)
    ):
        parts = [
            trainer.folder.fold(training.fold) if training.fold else trainer.folder
            for trainer, training in zip(trainers, trainings, strict=True)
        ]
        if not _restore_common_step(parts):
            return
        with ExitStack() as stack:
            entry = replace(progress_entry(trainings[0], {}, title), trainings=len(parts))
            progress = stack.enter_context(first.progress.training(number, entry))
            displays: list[Display] = [progress, *(_WarningsOnly(progress) for _ in parts[1:])]
            courses = [
                trainer.course(training, part, display, lambda: pace.is_due, 1 / len(parts))
                for trainer, training, part, display in zip(
                    trainers, trainings, parts, displays, strict=True
                )
            ]
            if not _drive(courses, pace):
                return


class _Pace:
    """Joint decision for all members, before each step, whether a checkpoint or a stop follows it."""

    def __init__(self, seconds: float, stop_requested: Callable[[], bool]) -> None:
        self._seconds, self._stop_requested = seconds, stop_requested
        self._time = time.monotonic()
        self.is_due = self.stops = False

    def decide(self) -> None:
        """Decide for the next step."""
        self.stops = self._stop_requested()
        self.is_due = time.monotonic() - self._time >= self._seconds
        if self.is_due or self.stops:
            self._time = time.monotonic()


class _WarningsOnly:
    """Display of the warnings of a training, whose progress another display shows."""

    def __init__(self, progress: TrainingProgress) -> None:
        self._progress = progress

    def begins_after(self, epochs_done: int) -> None:
        """See `Display`."""

    def steps_done(self, done: int, total: int) -> None:
        """See `Display`."""

    def epoch_ended(self, line: EpochLine) -> None:
        """See `Display`."""

    def warn(self, warning: HealthWarning) -> None:
        """See `Display`."""
        self._progress.warn(warning)


def _restore_common_step(parts: Sequence[RunFolder]) -> bool:
    """Remove the checkpoints after the newest step of which every member has one, because a process may have
    ended when only some had been written. Return False if there are checkpoints, but none of a common
    step.
    """
    steps = [checkpoint_steps(part.checkpoints) for part in parts]
    common = set.intersection(*map(set, steps))
    if not common:
        return not any(steps)
    for part, part_steps in zip(parts, steps, strict=True):
        for _ in range(part_steps.index(max(common))):
            drop_newest_checkpoint(part.checkpoints)
    return True


@without_tf32()
def _drive(courses: Sequence[_Course], pace: _Pace) -> bool:
    """Take the steps of all trainings until they end; return False if they are not at the same step.

    Raises:
        Interrupted: a stop was requested; all trainings have written a checkpoint of the same step.
    """
    turns = [turn for turn in (_next(course, None) for course in courses) if turn is not None]
    if len({turn.state.step for turn in turns}) > 1 or len(turns) not in (0, len(courses)):
        return False
    game = JointGame(turns) if turns else None
    while game is not None:
        pace.decide()
        interrupted: Interrupted | None = None
        following: list[Turn | None] = []
        for course, result in zip(courses, game.step(turns), strict=True):
            try:
                following.append(_next(course, result))
            except Interrupted as end:
                # The other trainings must write their checkpoints too.
                interrupted = end
        if interrupted is not None:
            raise interrupted
        turns = [turn for turn in following if turn is not None]
        if not turns:
            break
    return True


def _next(course: _Course, result: StepResult | None) -> Turn | None:
    """The next step of a training; None if it has ended."""
    try:
        return next(course) if result is None else course.send(result)
    except StopIteration:
        return None
