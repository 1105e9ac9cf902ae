"""Logits of a trained discriminator for many images."""

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, to_network
from convergan.networks.interface import Discriminator
from convergan.networks.precision import without_tf32

BATCH_SIZE = 500


@torch.no_grad()
@without_tf32()
def classify(network: Discriminator, images: DeviceImages, indices: np.ndarray) -> Tensor:
    """Logits [len(indices), classes] in float32, without noise or dropout; the mode is put back."""
    training = network.training
    network.eval()
    batches = [
        network(to_network(images.gather(indices[first : first + BATCH_SIZE]), network.pixel_range))
        for first in range(0, len(indices), BATCH_SIZE)
    ]
    network.train(training)
    return torch.cat([batch.logits for batch in batches])


def predicted_classes(
    network: Discriminator, images: DeviceImages, indices: np.ndarray
) -> np.ndarray:
    """The class of each of these images, int64 [len(indices)]."""
    return classify(network, images, indices).argmax(dim=1).cpu().numpy()
