"""The state of a training, as in a checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.recipes.settings import Recipe
from convergan.runs.epochs import HealthWarning
from convergan.training.health import HealthMonitor, NotFinite
from convergan.training.objective import Loss
from convergan.training.players import CLASSIFIERS, build_players
from convergan.training.randomness import RandomStream, derived_seed
from convergan.training.selection import BestEpoch
from convergan.training.terms.term import TermContext

_STREAMS = {"game": "stream", "baseline": "baseline_stream"}
"""The streams of random numbers, and their names in a checkpoint."""

_BEST = {"discriminator": "best", "baseline": "best_baseline"}
"""The classifiers, and the names of their best epochs in a checkpoint."""


class TrainingState:
    """The players by name, the progress of the training, and all random streams.

    The baseline has a stream of its own, so that the other players are the same with and without it.
    """

    def __init__(
        self,
        device: torch.device,
        recipe: Recipe,
        data: TrainingData,
        images: DeviceImages,
        losses: Mapping[str, Loss],
    ) -> None:
        # Networks are built alike on every rank, from streams that all ranks share.
        shared = {
            name: RandomStream(device, derived_seed(recipe.seed, number))
            for number, name in enumerate(_STREAMS)
        }
        self.players = build_players(device, recipe, data, images, losses, shared)
        self.terms = _term_states(
            device, recipe, data, {name: losses[name] for name in self.players}
        )
        """States of the players' terms, by `<player>/<term>`."""
        # Every rank draws alike, for the whole batch: see `convergan.whole_batch`.
        self.streams = {
            name: RandomStream(device, derived_seed(recipe.seed, number + len(_STREAMS), 0))
            for number, name in enumerate(_STREAMS)
        }

        self.epochs_done = 0
        self.position = 0
        """Steps done in the current epoch."""
        self.step = 0
        """Steps done in total."""
        self.train_seconds = 0.0
        self.rollbacks = 0
        """Number of rollbacks, each of which has halved the learning rate."""
        self.warnings: list[HealthWarning] = []
        """Warnings of the current epoch, to be written with its line of metrics."""
        self.epoch_sums: Tensor | None = None
        """Losses and scores, summed over the current epoch, on the device."""
        self.health = HealthMonitor(recipe)
        self.best = {name: BestEpoch() for name in CLASSIFIERS if name in self.players}

    def _parts(self) -> dict[str, Any]:
        """All parts with a state of their own, by name in a checkpoint."""
        best = {_BEST[name]: best for name, best in self.best.items()}
        streams = {_STREAMS[name]: stream for name, stream in self.streams.items()}
        # Checkpoints of trainings whose terms have no state do not have this part.
        terms = {"terms": self.terms} if self.terms else {}
        return {**self.players, "health": self.health, **best, **streams, **terms}

    def find_not_finite(self) -> NotFinite | None:
        """The first player whose weights are not finite; None if all are. All ranks have the same weights."""
        for name, player in self.players.items():
            if not player.is_finite():
                return NotFinite(self.step, f"a weight of the {name}")
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state on which later steps depend, which is the same on every rank."""
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "epochs_done": self.epochs_done,
            "position": self.position,
            "step": self.step,
            "train_seconds": self.train_seconds,
            "rollbacks": self.rollbacks,
            "rollback_warnings": self.warnings,
            "epoch_sums": self.epoch_sums,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.epochs_done = state["epochs_done"]
        self.position = state["position"]
        self.step = state["step"]
        self.train_seconds = state["train_seconds"]
        self.rollbacks = state["rollbacks"]
        self.warnings = [HealthWarning(*values) for values in state["rollback_warnings"]]
        sums, device = state["epoch_sums"], self.players["discriminator"].trained[0].device
        self.epoch_sums = None if sums is None else sums.to(device)


def _term_states(
    device: torch.device, recipe: Recipe, data: TrainingData, losses: Mapping[str, Loss]
) -> nn.ModuleDict:
    """Prepare the terms of all players for the training; return their states."""
    counts = np.bincount(data.labels, minlength=len(data.classes)).tolist()
    supervised = recipe.objective.is_supervised
    context = TermContext(
        labels_of_class=tuple(counts) if supervised else (sum(counts),), device=device
    )
    return nn.ModuleDict(
        {
            f"{player}/{name}": state
            for player, loss in losses.items()
            for name, state in loss.begin(context).items()
        }
    )
