"""Choosing among epochs, by the held-out part of the labelled images alone."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.networks.interface import Discriminator
from convergan.training.classify import predicted_classes


class BestEpoch:
    """Keeps the weights of the epoch with the fewest validation errors, the earliest of several.

    It is given validation errors and nothing else: whoever calls it has no test labels to give.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.errors: int | None = None
        self.weights: dict[str, Tensor] | None = None

    def offer(self, epoch: int, validation_errors: int, network: nn.Module) -> None:
        """Takes the network's weights if it errs less than every one before."""
        if self.errors is None or validation_errors < self.errors:
            self.epoch, self.errors = epoch, validation_errors
            self.weights = {
                name: value.detach().clone() for name, value in network.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far."""
        return {"epoch": self.epoch, "errors": self.errors, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self.epoch, self.errors, self.weights = state["epoch"], state["errors"], state["weights"]


def validation_errors(network: Discriminator, images: DeviceImages, data: TrainingData) -> int:
    """The number of validation images that a classifier errs on."""
    predicted = predicted_classes(network, images, data.validation)
    return int(np.count_nonzero(predicted != data.validation_labels))
