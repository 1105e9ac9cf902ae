"""What the loop tells those who watch it."""

from typing import Protocol

from convergan.networks.interface import Discriminator, Generator
from convergan.runs.epochs import EpochRecord, HealthWarning


class Observer(Protocol):
    """Watches the loop. Nothing it returns, and nothing that it counts on test images, comes back."""

    def steps_done(self, done: int, total: int) -> None:
        """Takes the number of steps done, and of all steps of the training."""

    def epoch_ended(
        self,
        record: EpochRecord,
        discriminator: Discriminator,
        averaged: Discriminator,
        baseline: Discriminator | None,
        generator: Generator,
    ) -> None:
        """Takes the record and the networks of an epoch that ended; the networks must not be changed."""

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """Takes the number of epochs after which the run begins or is resumed; later records are void."""


class Silent:
    """The observer of the ranks that write nothing."""

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""

    def epoch_ended(self, *_: object) -> None:
        """See `Observer`."""

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
