"""Everything of a training that a checkpoint holds."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, epoch_order, to_network
from convergan.data.training_data import TrainingData
from convergan.distributed import rank, ranks
from convergan.errors import UserError
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.interface import Discriminator, Generator
from convergan.recipes.settings import Recipe
from convergan.techniques.weight_norm import initialize_from_data
from convergan.training.health import HealthMonitor, HealthWarning, NotFinite
from convergan.training.player import Player
from convergan.training.randomness import RandomStream, derived_seed
from convergan.training.selection import BestEpoch

INITIALIZATION_IMAGES = 500
"""Images of the data-dependent initialization, as in the authors' code."""


class TrainingState:
    """The players, where the run stands, and every random stream.

    The baseline is the same discriminator, trained on the labelled images alone; it has a stream of its
    own, so that the others' course is the same with and without it.
    """

    def __init__(
        self, device: torch.device, recipe: Recipe, data: TrainingData, images: DeviceImages
    ) -> None:
        self.rank = rank()
        _, height, width, channels = data.images.shape
        shape = (channels, height, width)
        binary = recipe.objective.discriminator == "binary"
        outputs = 1 if binary else len(data.classes)

        # Networks are built alike on every rank, from streams that all ranks share.
        self.stream = RandomStream(device, derived_seed(recipe.seed, 0))
        self.baseline_stream = RandomStream(device, derived_seed(recipe.seed, 1))

        def player_of(network: Discriminator | Generator, averaged: bool) -> Player:
            return Player(
                device,
                network,
                recipe.optimizer,
                recipe.hardware,
                averaged=averaged,
                with_history=recipe.objective.historical_averaging > 0,
            )

        with self.stream():
            discriminator = build_discriminator(recipe.networks, shape, outputs).to(device)
            generator = build_generator(recipe.networks, shape).to(device)
            discriminator.group_size = recipe.batch_size // ranks()
            _initialize(discriminator, recipe, images, data.unlabelled)
            if (
                recipe.networks.data_dependent_initialization
                and generator.data_dependent_initialization
            ):
                _run_initialization(generator, generator.latent(INITIALIZATION_IMAGES, device))
            self.discriminator = player_of(discriminator, averaged=True)
            self.generator = player_of(generator, averaged=False)
        self.baseline: Player[Discriminator] | None = None
        if recipe.baseline and not binary:
            with self.baseline_stream():
                network = build_discriminator(recipe.networks, shape, outputs).to(device)
                network.group_size = recipe.batch_size // ranks()
                _initialize(network, recipe, images, data.labelled)
                self.baseline = player_of(network, averaged=True)

        # From here on the ranks draw their own noise.
        self.stream = RandomStream(device, derived_seed(recipe.seed, 2, self.rank))
        self.baseline_stream = RandomStream(device, derived_seed(recipe.seed, 3, self.rank))

        self.epochs_done = 0
        self.position = 0
        """Steps done in the epoch under way."""
        self.step = 0
        """Steps done in all."""
        self.train_seconds = 0.0
        self.rollbacks = 0
        """Number of rollbacks, each of which has halved the learning rate."""
        self.warnings: list[HealthWarning] = []
        """Warnings of the epoch under way, to be written with its line of metrics."""
        self.epoch_sums: Tensor | None = None
        """Losses and scores, summed over the epoch under way, on the device."""
        self.health = HealthMonitor(recipe.epochs)
        self.best = BestEpoch()
        self.best_baseline = BestEpoch()

    def _parts(self) -> dict[str, Any]:
        parts = {
            "discriminator": self.discriminator,
            "generator": self.generator,
            "baseline": self.baseline,
            "health": self.health,
            "best": self.best,
            "best_baseline": self.best_baseline,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def find_not_finite(self) -> NotFinite | None:
        """A player whose weights are not finite. All ranks hold the same weights, and find the same."""
        players = {
            "discriminator": self.discriminator,
            "generator": self.generator,
            "baseline": self.baseline,
        }
        for name, player in players.items():
            if player is not None and not player.is_finite():
                return NotFinite(self.step, f"a weight of the {name}")
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything that later steps depend on. Every rank must call it: it gathers their streams."""
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "stream": self.stream.state_dict(),
            "baseline_stream": self.baseline_stream.state_dict(),
            "epochs_done": self.epochs_done,
            "position": self.position,
            "step": self.step,
            "train_seconds": self.train_seconds,
            "rollbacks": self.rollbacks,
            "rollback_warnings": self.warnings,
            "epoch_sums": self.epoch_sums,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.stream.load_state_dict(state["stream"], self.rank)
        self.baseline_stream.load_state_dict(state["baseline_stream"], self.rank)
        self.epochs_done = state["epochs_done"]
        self.position = state["position"]
        self.step = state["step"]
        self.train_seconds = state["train_seconds"]
        self.rollbacks = state["rollbacks"]
        self.warnings = [HealthWarning(*values) for values in state["rollback_warnings"]]
        device = next(self.discriminator.network.parameters()).device
        sums = state["epoch_sums"]
        self.epoch_sums = None if sums is None else sums.to(device)


def _initialize(
    network: Discriminator, recipe: Recipe, images: DeviceImages, indices: np.ndarray
) -> None:
    """Sets the gains and biases of a discriminator from a batch of its own data, if so wished.

    Raises:
        UserError: they cannot be set from these images, such as when all are equal.
    """
    if not recipe.networks.data_dependent_initialization:
        return
    count = min(INITIALIZATION_IMAGES, len(indices))
    if count > 1 and network.groups_of(count)[-1] == 1:
        # One that has no other in its group says nothing of distances.
        count -= 1
    order = epoch_order(
        indices, steps=1, batch_size=count, seed=recipe.seed, epoch=0, stream="initialization"
    )
    with torch.no_grad():
        try:
            _run_initialization(network, to_network(images.gather(order[0]), network.pixel_range))
        except ValueError as error:
            raise UserError(
                "networks.data-dependent-initialization: expected images that the discriminator can be "
                f"initialized from, got {count} of which it says: {error}"
            ) from None


def _run_initialization(network: Discriminator | Generator, inputs: Tensor) -> None:
    """`initialize_from_data`; a network that has no layer to set from data sees it all the same.

    Batch normalization's running statistics begin with it, and the numbers drawn after it stay the same.
    """
    if any(hasattr(layer, "initialize_from_data") for layer in network.modules()):
        initialize_from_data(network, inputs)
    else:
        with torch.no_grad():
            network(inputs)
