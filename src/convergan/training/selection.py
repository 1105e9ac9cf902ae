"""Choice of an epoch, only by the labelled images that are held out for validation."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.networks.interface import Discriminator
from convergan.training.classify import predicted_classes


class BestEpoch:
    """The weights of the epoch with the fewest validation errors, and of the earliest such epoch.

    It depends only on validation errors, as its callers have no test labels.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.errors: int | None = None
        self.weights: dict[str, Tensor] | None = None

    def offer(self, epoch: int, validation_errors: int, network: nn.Module) -> None:
        """Take the weights of a network if it has fewer errors than those of all earlier epochs."""
        if self.errors is None or validation_errors < self.errors:
            self.epoch, self.errors = epoch, validation_errors
            self.weights = {
                name: value.detach().clone() for name, value in network.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far."""
        return {"epoch": self.epoch, "errors": self.errors, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.epoch, self.errors, self.weights = state["epoch"], state["errors"], state["weights"]


def validation_errors(network: Discriminator, images: DeviceImages, data: TrainingData) -> int:
    """The number of validation images that a classifier misclassifies."""
    predicted = predicted_classes(network, images, data.validation)
    return int(np.count_nonzero(predicted != data.validation_labels))
