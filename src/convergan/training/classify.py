"""Logits of a trained discriminator for many images."""

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, to_network
from convergan.networks.classification import classified
from convergan.networks.interface import Discriminator

BATCH_SIZE = 500


def classify(network: Discriminator, images: DeviceImages, indices: np.ndarray) -> Tensor:
    """Logits [len(indices), classes]; see `classified`."""
    batches = (
        images.gather(indices[first : first + BATCH_SIZE])
        for first in range(0, len(indices), BATCH_SIZE)
    )
    return torch.cat(
        [classified(network, to_network(batch, network.pixel_range)).logits for batch in batches]
    )


def predicted_classes(
    network: Discriminator, images: DeviceImages, indices: np.ndarray
) -> np.ndarray:
    """The class of each of these images, int64 [len(indices)]."""
    return classify(network, images, indices).argmax(dim=1).cpu().numpy()
