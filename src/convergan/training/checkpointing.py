"""When a run is kept, how it stops, and what it goes back to when it diverges."""

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
"""Several ranks ask each other only so often whether a checkpoint is due."""


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How a run is kept, as opposed to what it computes."""

    checkpoint_every_seconds: float = 30.0
    """Time between checkpoints; each costs a write of a few times the networks' size. 0: every step."""

    roll_back: bool = False
    """On a loss that is not finite: go back to the last checkpoint at half the learning rate."""

    stop_requested: Callable[[], bool] = lambda: False
    """Asked between steps; when true, a checkpoint is written, where there is a folder, and `Interrupted`
    raised."""

    due: Callable[[], bool] | None = None
    """Asked between steps in place of the time: whether a checkpoint is due. Trainings that take their steps
    together write theirs at the same ones."""

    time_share: float = 1.0
    """Share of the time that passes, above 0 to 1, that counts as this training's: of trainings that take
    their steps together each has its part."""

    origin: Mapping[str, str] = field(default_factory=dict)
    """Identity of the training, by kind; checkpoints hold it, and those of another origin are not used."""

    before_checkpoint: Callable[[], None] = lambda: None
    """Function called on rank 0 before a checkpoint is written, to bring on the disk what it relies on."""


class Checkpointer:
    """Writes and reads the checkpoints of one training. Every rank calls every method alike.

    Without a folder nothing is written: what a divergence goes back to, if that is asked for, is in memory.
    """

    def __init__(self, device: torch.device, folder: Path | None, options: LoopOptions) -> None:
        self._device, self._folder, self._options = device, folder, options
        self._time = time.monotonic()
        self._went_back_to: int | None = None
        self._in_memory: list[dict[str, Any]] = []
        """The newest two states, where there is no folder for them."""
        self.warning: HealthWarning | None = None
        """Warning of the last `restore` on checkpoints that it passed over."""

    def restore(self, state: TrainingState) -> bool:
        """Restores the newest checkpoint that can be used; returns False where there is none.

        A newer one that cannot be used is set aside, with a warning.

        Raises:
            UserError: no checkpoint can be used, or they are of other networks.
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
        path, values, passed_over = newest

        def put_back() -> None:
            with reading(path, "a checkpoint of this recipe's networks"):
                try:
                    state.load_state_dict(values)
                except UserError as error:
                    raise UserError(f"{path}: {error}") from None

        on_every_rank(put_back)
        if passed_over:
            self.warning = HealthWarning(
                state.epochs_done + 1,
                CHECKPOINT,
                "; ".join(unusable.problem for unusable in passed_over),
                f"the run goes on from {path.name}; what cannot be used is kept as unusable-*",
            )
            state.warnings.append(self.warning)
            # First the warning is kept, then its cause is put out of the way.
            self.save(state)
            on_rank_zero(lambda: [set_aside(unusable.path) for unusable in passed_over])
        return True

    def save(self, state: TrainingState) -> None:
        """Writes a checkpoint; the state must be known to be finite.

        Raises:
            UserError: it cannot be written, such as to a disk that is full.
        """
        folder = self._folder
        if folder is None:
            if self._options.roll_back:
                # As of files, of which one of the same step is replaced.
                older = [kept for kept in self._in_memory if kept["step"] != state.step]
                self._in_memory = [*older[-1:], deepcopy(state.state_dict())]
            self._time = time.monotonic()
            return

        def write() -> None:
            self._options.before_checkpoint()
            save_checkpoint(folder, state.step, state.state_dict(), self._options.origin)

        on_rank_zero(write)
        self._time = time.monotonic()

    def _drop_newest(self) -> None:
        """Removes the newest checkpoint, if there is one before it."""
        folder = self._folder
        if folder is None:
            self._in_memory = self._in_memory[:1]
        else:
            on_rank_zero(lambda: drop_newest_checkpoint(folder))

    def is_due(self, step: int) -> bool:
        """Whether it is time for a checkpoint, or a stop has been asked for."""
        if ranks() > 1 and step % STEPS_BETWEEN_AGREEMENTS:
            return False
        if self._options.due is not None:
            due = self._options.due()
        else:
            due = time.monotonic() - self._time >= self._options.checkpoint_every_seconds
        return any_rank(due or self._options.stop_requested(), self._device)

    def stop_if_requested(self) -> None:
        """Raises `Interrupted` if a stop has been asked for; call it right after `save`."""
        if any_rank(self._options.stop_requested(), self._device):
            raise Interrupted

    def go_back(self, state: TrainingState, not_finite: NotFinite) -> HealthWarning:
        """Puts the state back to the last good checkpoint and halves the learning rate, or gives up.

        A checkpoint from which training diverged again, before it came to the next, may be where the
        trouble began: then the one before it is the last good one.

        Raises:
            UserError: rolling back is not asked for, or has been done `MOST_ROLLBACKS` times.
        """
        what = f"{not_finite.term} is {not_finite.value} at step {not_finite.step}"
        if self._folder is None and not self._options.roll_back:
            raise UserError(f"training diverged: {what}")
        rollbacks, told = state.rollbacks + 1, state.warnings
        self.restore(state)
        passed_over = self.warning
        if state.step == self._went_back_to:
            self._drop_newest()
            self.restore(state)
            passed_over = passed_over or self.warning
        if self._folder is None:
            last_good = "nothing was written"
        else:
            last_good = f"the last good checkpoint, of step {state.step}, is in {self._folder}"
        if not self._options.roll_back:
            raise UserError(
                f"training diverged: {what}; {last_good}; --resume --on-divergence rollback goes on "
                "from it, at half the learning rate where it diverges again"
            )
        if rollbacks > MOST_ROLLBACKS:
            raise UserError(
                f"training diverged: {what}, after {MOST_ROLLBACKS} times going back and halving the "
                f"learning rate; {last_good}"
            )
        warning = HealthWarning(
            state.epochs_done + 1,
            ROLLBACK,
            f"training diverged: {what}; went back to step {state.step}",
            f"the learning rate is now multiplied by {0.5**rollbacks:g}; start with a lower "
            "--optimizer.learning-rate",
        )
        self._went_back_to = state.step
        state.rollbacks = rollbacks
        # Going back does not undo that one had gone back before.
        state.warnings = [*told, *([passed_over] if passed_over else []), warning]
        self.save(state)
        return warning
