"""Callbacks of the training loop: an observer is called with each step and each epoch."""

from collections.abc import Mapping
from typing import Protocol

from convergan.runs.epochs import EpochRecord, HealthWarning
from convergan.training.player import Player


class Observer(Protocol):
    """Callbacks of the loop, which cannot influence it: nothing that they count on test images comes back."""

    def steps_done(self, done: int, total: int) -> None:
        """Receive the number of steps done, and of all steps of the training."""

    def epoch_ended(self, record: EpochRecord, players: Mapping[str, Player]) -> None:
        """Receive the record of an epoch that ended, and the players by name, which must not be changed."""

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """Receive the number of epochs after which the run begins or is resumed; later records are void."""


class Silent:
    """Callbacks that do nothing."""

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""

    def epoch_ended(self, *_: object) -> None:
        """See `Observer`."""

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
