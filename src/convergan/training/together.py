"""Members of an ensemble trained together: step by step, each step of all of them one computation."""

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
from convergan.training.loop import Fitted, Taken, Turn
from convergan.training.objective import losses_of
from convergan.training.options import RunOptions
from convergan.training.preparation import Preparation, image_shape
from convergan.training.progress import Progress
from convergan.training.recorder import Display
from convergan.training.signals import Interrupted
from convergan.training.terms.term import HISTORY, TEACHER
from convergan.training.trainer import Trainer, shown_of
from convergan.training.trainings import trainings_of

_SMALL = 300_000
"""Largest number of weights in a discriminator for which training together is chosen. A CPU is 1.5 times as
fast with ten members of `digits`, of 160,000 weights, and 1.1 times with those of `mnist`, of
1,500,000: docs/performance.md."""

_Course = Generator[Turn, Taken, Fitted]


def trains_together(preparation: Preparation, device: torch.device, options: RunOptions) -> bool:
    """Whether the members of an ensemble are trained together.

    Raises:
        UserError: that is asked for, and cannot be.
    """
    recipe = preparation.recipe
    wanted = recipe.hardware.members
    obstacle = _obstacle(recipe, options)
    if wanted == "together" and obstacle is not None:
        raise UserError(f"hardware.members: expected auto or apart {obstacle}, got together")
    if wanted != "auto" or obstacle is not None:
        return wanted == "together"
    return device.type == "cpu" and _weights(preparation) <= _SMALL


def _obstacle(recipe: Recipe, options: RunOptions) -> str | None:
    """What keeps members from being trained together, in words; None: nothing."""
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
        return "with terms of one's own"
    if recipe.objective.shared_real_batch:
        return "with objective.shared-real-batch"
    if recipe.objective.is_simultaneous:
        return "where objective.update is simultaneous"
    discriminator = losses["discriminator"]
    if needs & {HISTORY, TEACHER} or discriminator.needs_gradient_of != discriminator.needs:
        return "with terms that look at the history of weights, or at images without a gradient"
    if recipe.hardware.compile:
        return "with hardware.compile"
    if ranks() > 1:
        return "with several processes"
    if options.on_divergence == "rollback":
        return "with --on-divergence rollback"
    return None


def _weights(preparation: Preparation) -> int:
    """Number of weights of a discriminator, biases and gains aside."""
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
    """Trains the members of an ensemble to the last checkpoint of each, or as far as they can go together.

    What is left then is as if each had been trained by itself: its trainer goes on from its checkpoints,
    which are of the same steps in all members, and finds nothing to be done.

    Args:
        trainers: one for each member.
        preparations: of each member.
        title: what the progress calls them all.
        stop_requested: asked before each step; when true, all write a checkpoint and `Interrupted` is raised.
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
        if not _go_back_to_a_common_step(parts):
            return
        with ExitStack() as stack:
            shown = replace(shown_of(trainings[0], {}, title), trainings=len(parts))
            progress = stack.enter_context(first.progress.training(number, shown))
            displays: list[Display] = [progress, *(_Beside(progress) for _ in parts[1:])]
            courses = [
                trainer.course(training, part, display, lambda: pace.is_due, 1 / len(parts))
                for trainer, training, part, display in zip(
                    trainers, trainings, parts, displays, strict=True
                )
            ]
            if not _drive(courses, pace):
                return


class _Pace:
    """One decision for all members, before each step, on whether it is followed by a checkpoint or a stop."""

    def __init__(self, seconds: float, stop_requested: Callable[[], bool]) -> None:
        self._seconds, self._stop_requested = seconds, stop_requested
        self._time = time.monotonic()
        self.is_due = self.stops = False

    def decide(self) -> None:
        """Decides for the step that comes now."""
        self.stops = self._stop_requested()
        self.is_due = time.monotonic() - self._time >= self._seconds
        if self.is_due or self.stops:
            self._time = time.monotonic()


class _Beside:
    """Shows of a training what the display of another, which trains beside it, does not."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def begins_after(self, epochs_done: int) -> None:
        """See `Display`."""

    def steps_done(self, done: int, total: int) -> None:
        """See `Display`."""

    def epoch_ended(self, line: EpochLine) -> None:
        """See `Display`."""

    def warn(self, warning: HealthWarning) -> None:
        """See `Display`."""
        self._shown.warn(warning)


def _go_back_to_a_common_step(parts: Sequence[RunFolder]) -> bool:
    """Removes the checkpoints after the newest step of which every member has one: a process may have ended
    when only some had written theirs. False where there are checkpoints, but none of a common step."""
    steps = [checkpoint_steps(part.checkpoints) for part in parts]
    common = set.intersection(*map(set, steps))
    if not common:
        return not any(steps)
    for part, of_part in zip(parts, steps, strict=True):
        for _ in range(of_part.index(max(common))):
            drop_newest_checkpoint(part.checkpoints)
    return True


@without_tf32()
def _drive(courses: Sequence[_Course], pace: _Pace) -> bool:
    """Takes the steps of all trainings until they end; False where they do not stand at the same step.

    Raises:
        Interrupted: a stop was asked for; each has written a checkpoint of the same step.
    """
    turns = [turn for turn in (_next(course, None) for course in courses) if turn is not None]
    if len({turn.state.step for turn in turns}) > 1 or len(turns) not in (0, len(courses)):
        return False
    game = JointGame(turns) if turns else None
    while game is not None:
        pace.decide()
        interrupted: Interrupted | None = None
        following: list[Turn | None] = []
        for course, taken in zip(courses, game.step(turns), strict=True):
            try:
                following.append(_next(course, taken))
            except Interrupted as end:
                # The others are to write their checkpoints as well.
                interrupted = end
        if interrupted is not None:
            raise interrupted
        turns = [turn for turn in following if turn is not None]
        if not turns:
            break
    return True


def _next(course: _Course, taken: Taken | None) -> Turn | None:
    """The next step of a training; None where it has ended."""
    try:
        return next(course) if taken is None else course.send(taken)
    except StopIteration:
        return None
