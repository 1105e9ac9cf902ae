"""Checkpoints of a training: when they are written, and how a training is resumed, stopped and rolled
back.
"""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from convergan.distributed import any_rank, ranks
from convergan.errors import UserError, reading
from convergan.runs.checkpoints import (
    drop_newest_checkpoint,
    load_newest_checkpoint,
    save_checkpoint,
    set_aside,
)
from convergan.runs.epochs import HealthWarning
from convergan.training.health import CHECKPOINT, ROLLBACK, NotFinite
from convergan.training.launch import from_rank_zero, on_every_rank, on_rank_zero
from convergan.training.signals import Interrupted
from convergan.training.state import TrainingState

MOST_ROLLBACKS = 3
STEPS_BETWEEN_AGREEMENTS = 20
"""Number of steps after which several ranks agree on whether a checkpoint is due."""


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """Options of checkpoints, stopping and divergence, which do not change what a run computes."""

    checkpoint_every_seconds: float = 30.0
    """Seconds between checkpoints, each a few times as large as the networks. 0: after every step."""

    roll_back: bool = False
    """Go back to the last checkpoint, with half the learning rate, if a loss is not finite."""

    stop_requested: Callable[[], bool] = lambda: False
    """Function that returns True if the training should stop. It is called between steps; a checkpoint is
    then written, if there is a folder, and `Interrupted` is raised."""

    due: Callable[[], bool] | None = None
    """Function that decides whether a checkpoint is due, in place of `checkpoint_every_seconds`. It is called
    between steps. Trainings that take their steps together write checkpoints of the same steps."""

    time_share: float = 1.0
    """Share of the elapsed time, above 0 and at most 1, that counts as this training's. Trainings that take
    their steps together divide the time."""

    origin: Mapping[str, str] = field(default_factory=dict)
    """Identity of the training, by kind. Checkpoints contain it, and those of another origin are not used."""

    before_checkpoint: Callable[[], None] = lambda: None
    """Function that is called on rank 0 before a checkpoint is written, to write what it relies on to
    disk."""


class Checkpointer:
    """Writer and reader of the checkpoints of one training. Every rank must call every method.

    Without a folder nothing is written; states for rolling back, if that is on, are kept in memory.
    """

    def __init__(self, device: torch.device, folder: Path | None, options: LoopOptions) -> None:
        self._device, self._folder, self._options = device, folder, options
        self._time = time.monotonic()
        self._went_back_to: int | None = None
        self._in_memory: list[dict[str, Any]] = []
        """The newest two states, if there is no folder for them."""
        self.warning: HealthWarning | None = None
        """Warning of the last `restore` about checkpoints that it skipped."""

    def restore(self, state: TrainingState) -> bool:
        """Restore the newest usable checkpoint; return False if there is no checkpoint.

        Newer checkpoints that cannot be used are set aside, with a warning.

        Raises:
            UserError: no checkpoint can be used, or they belong to other networks.
        """
        folder = self._folder
        if folder is None:
            if self._in_memory:
                state.load_state_dict(deepcopy(self._in_memory[-1]))
            return bool(self._in_memory)
        newest = from_rank_zero(lambda: load_newest_checkpoint(folder, self._options.origin))
        self.warning = None
        if newest is None:
            return False
        path, values, skipped = newest

        def put_back() -> None:
            with reading(path, "a checkpoint of this recipe's networks"):
                try:
                    state.load_state_dict(values)
                except UserError as error:
                    raise UserError(f"{path}: {error}") from None

        on_every_rank(put_back)
        if skipped:
            self.warning = HealthWarning(
                state.epochs_done + 1,
                CHECKPOINT,
                "; ".join(unusable.problem for unusable in skipped),
                f"the run continues from {path.name}; unusable checkpoints are kept as unusable-*",
            )
            state.warnings.append(self.warning)
            # The warning is saved before its cause is moved.
            self.save(state)
            on_rank_zero(lambda: [set_aside(unusable.path) for unusable in skipped])
        return True

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint of a state that is known to be finite.

        Raises:
            UserError: it cannot be written, for example because the disk is full.
        """
        folder = self._folder
        if folder is None:
            if self._options.roll_back:
                # As with files, a state of the same step is replaced.
                older = [saved for saved in self._in_memory if saved["step"] != state.step]
                self._in_memory = [*older[-1:], deepcopy(state.state_dict())]
            self._time = time.monotonic()
            return

        def write() -> None:
            self._options.before_checkpoint()
            save_checkpoint(folder, state.step, state.state_dict(), self._options.origin)

        on_rank_zero(write)
        self._time = time.monotonic()

    def _drop_newest(self) -> None:
        """Remove the newest checkpoint, if there is one before it."""
        folder = self._folder
        if folder is None:
            self._in_memory = self._in_memory[:1]
        else:
            on_rank_zero(lambda: drop_newest_checkpoint(folder))

    def is_due(self, step: int) -> bool:
        """True if a checkpoint is due or a stop has been requested."""
        if ranks() > 1 and step % STEPS_BETWEEN_AGREEMENTS:
            return False
        if self._options.due is not None:
            due = self._options.due()
        else:
            due = time.monotonic() - self._time >= self._options.checkpoint_every_seconds
        return any_rank(due or self._options.stop_requested(), self._device)

    def stop_if_requested(self) -> None:
        """Raise `Interrupted` if a stop has been requested. Call this right after `save`."""
        if any_rank(self._options.stop_requested(), self._device):
            raise Interrupted

    def go_back(self, state: TrainingState, not_finite: NotFinite) -> HealthWarning:
        """Restore the last good checkpoint and halve the learning rate, or give up.

        If training diverges again before the next checkpoint, the trouble may have begun before the restored
        checkpoint: then the one before it counts as the last good one.

        Returns:
            The warning about the rollback.

        Raises:
            UserError: rolling back is off, or has been done `MOST_ROLLBACKS` times.
        """
        problem = f"{not_finite.term} is {not_finite.value} at step {not_finite.step}"
        if self._folder is None and not self._options.roll_back:
            raise UserError(f"training diverged: {problem}")
        rollbacks, earlier_warnings = state.rollbacks + 1, state.warnings
        self.restore(state)
        restore_warning = self.warning
        if state.step == self._went_back_to:
            self._drop_newest()
            self.restore(state)
            restore_warning = restore_warning or self.warning
        if self._folder is None:
            last_good = "nothing was written"
        else:
            last_good = f"the last good checkpoint, of step {state.step}, is in {self._folder}"
        if not self._options.roll_back:
            raise UserError(
                f"training diverged: {problem}; {last_good}; --resume --on-divergence rollback "
                "continues from it, at half the learning rate if it diverges again"
            )
        if rollbacks > MOST_ROLLBACKS:
            raise UserError(
                f"training diverged: {problem}, after {MOST_ROLLBACKS} rollbacks, each of which halved the "
                f"learning rate; {last_good}"
            )
        warning = HealthWarning(
            state.epochs_done + 1,
            ROLLBACK,
            f"training diverged: {problem}; went back to step {state.step}",
            f"the learning rate is now multiplied by {0.5**rollbacks:g}; start with a lower "
            "--optimizer.learning-rate",
        )
        self._went_back_to = state.step
        state.rollbacks = rollbacks
        # Earlier rollbacks are not undone by going back.
        state.warnings = [
            *earlier_warnings,
            *([restore_warning] if restore_warning else []),
            warning,
        ]
        self.save(state)
        return warning
