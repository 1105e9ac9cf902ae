"""Health of a training: losses that are not finite, a collapsed generator, a saturated discriminator."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from convergan.recipes.settings import Recipe
from convergan.runs.epochs import HealthWarning
from convergan.training.advice import advice_on_collapse, advice_on_saturation

COLLAPSED_BELOW = 0.4
"""Share of the data's diversity below which a generator counts as collapsed. The diversity of batches of data
varies by a few percent, and healthy generators of the recipes stay above 0.6."""

SATURATED_ABOVE = 0.98
"""D(x) - D(G(z)) above which a discriminator counts as saturated: it tells nearly every sample from the data
with certainty."""

ROLLBACK = "rollback"
"""Kind of the warning about a rollback to a checkpoint."""

CHECKPOINT = "checkpoint"
"""Kind of the warning about a checkpoint that could not be used, so that an older one was."""

METRICS = "metrics"
"""Kind of the warning about missing, damaged or duplicate lines of metrics.jsonl."""

PATIENCE = 3
"""Number of consecutive epochs that lead to a warning; a single unusual epoch does not."""

FIRST_SHARE = 0.4
"""Share of the run, at its start, in which a generator that has never been diverse is not yet called
collapsed."""


class NotFinite(NamedTuple):
    """The first loss that was not finite, or a player whose weights are not finite."""

    step: int
    term: str
    value: float = math.nan


def can_be_judged(epochs: int) -> bool:
    """True if a run of so many epochs is long enough for every kind of warning."""
    return epochs - math.floor(FIRST_SHARE * epochs) >= PATIENCE


class LossWatch:
    """Detector of the first loss that is not finite, which checks several steps at once.

    Losses stay on the device for `interval` steps, because reading them makes a GPU wait.
    """

    def __init__(self, names: list[str], interval: int, device: torch.device) -> None:
        self.names = names
        self._losses = torch.zeros(interval, len(names), device=device)
        self._first_step = 0
        self._count = 0

    def add(self, step: int, losses: Tensor) -> NotFinite | None:
        """Record the losses of one step, in the order of `names`, and check them when the interval is
        full.
        """
        if self._count == 0:
            self._first_step = step
        self._losses[self._count] = losses
        self._count += 1
        return self.look() if self._count == len(self._losses) else None

    def look(self) -> NotFinite | None:
        """Check the losses since the last check; return the first that is not finite."""
        losses = self._losses[: self._count]
        self._count = 0
        if bool(torch.isfinite(losses).all()):
            return None
        row, column = (int(index) for index in (~torch.isfinite(losses)).nonzero()[0])
        return NotFinite(self._first_step + row, self.names[column], float(losses[row, column]))


def mean_pairwise_distance(images: Tensor) -> float:
    """Mean Euclidean distance between all pairs of different images [n, ...]."""
    return float(torch.pdist(images.flatten(1).float()).mean())


class HealthMonitor:
    """Monitor that turns an epoch's numbers into warnings. A warning is repeated only after a recovery."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.was_diverse = False
        self.collapsed_epochs = 0
        self.saturated_epochs = 0

    def epoch(
        self, epoch: int, diversity: float, real_score: float, generated_score: float
    ) -> list[HealthWarning]:
        """Return the warnings of one epoch.

        Args:
            epoch: number of the epoch, from 1.
            diversity: mean pairwise distance of generated images, divided by that of the data.
            real_score: mean D(x) over the unlabelled images.
            generated_score: mean D(G(z)) over the generated images.
        """
        warnings = []
        low = diversity < COLLAPSED_BELOW
        self.was_diverse = self.was_diverse or not low
        counts = low and (self.was_diverse or epoch > FIRST_SHARE * self._recipe.epochs)
        self.collapsed_epochs = self.collapsed_epochs + 1 if counts else 0
        saturated = real_score - generated_score > SATURATED_ABOVE
        self.saturated_epochs = self.saturated_epochs + 1 if saturated else 0
        if self.collapsed_epochs == PATIENCE:
            warnings.append(
                HealthWarning(
                    epoch,
                    "collapse",
                    f"the generator collapses: its samples are {diversity:.0%} as diverse as the data",
                    advice_on_collapse(self._recipe),
                )
            )
        if self.saturated_epochs == PATIENCE:
            warnings.append(
                HealthWarning(
                    epoch,
                    "saturation",
                    "the discriminator is saturated: it tells every sample from the data "
                    f"(D(x) {real_score:.2f}, D(G(z)) {generated_score:.2f})",
                    advice_on_saturation(self._recipe),
                )
            )
        return warnings

    def state_dict(self) -> dict[str, int]:
        """The state on which later epochs depend."""
        return {
            "was_diverse": self.was_diverse,
            "collapsed": self.collapsed_epochs,
            "saturated": self.saturated_epochs,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore a state from `state_dict`."""
        self.was_diverse = bool(state["was_diverse"])
        self.collapsed_epochs, self.saturated_epochs = state["collapsed"], state["saturated"]
