"""What the loop tells those who watch it."""

from dataclasses import dataclass
from typing import Protocol

from convergan.networks.interface import Discriminator, Generator
from convergan.training.health import HealthWarning


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch came to. It holds no test error: those who watch count that themselves."""

    epoch: int
    step: int
    train_seconds: float
    seconds_per_epoch: float
    learning_rate: float
    losses: dict[str, float]
    real_score: float
    generated_score: float
    diversity: float
    validation_errors: int | None
    validation_size: int
    warnings: list[HealthWarning]


class Observer(Protocol):
    """Watches the loop. Nothing it returns, and nothing that it counts on test images, comes back."""

    def steps_done(self, done: int, total: int) -> None:
        """So many steps of so many in all are done."""

    def epoch_ended(
        self,
        record: EpochRecord,
        discriminator: Discriminator,
        averaged: Discriminator,
        baseline: Discriminator | None,
        generator: Generator,
    ) -> None:
        """An epoch ended with these networks; they must be left as they are."""

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """The run begins, or goes on from a checkpoint, after so many epochs; later ones are void."""


class Silent:
    """The observer of the ranks that write nothing."""

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""

    def epoch_ended(self, *_: object) -> None:
        """See `Observer`."""

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
