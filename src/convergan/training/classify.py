"""Logits and classes of a trained discriminator for many images."""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.networks.batches import run_batches
from convergan.networks.classification import batch_size, classified_pixels
from convergan.networks.interface import Discriminator


def classify(
    network: Discriminator, images: DeviceImages, indices: np.ndarray
) -> Float32[Tensor, "images classes"]:
    """Logits of the images with these indices, on the CPU; see `classified_pixels`."""
    size = batch_size(images.size_px, images.device.type)
    batches = (
        (first, images.gather(indices[first : first + size]))
        for first in range(0, len(indices), size)
    )
    judge = partial(classified_pixels, network)
    outputs = run_batches(judge, batches, images.device, in_threads=False)
    return torch.cat([output.logits for _, output in outputs])


def predicted_classes(
    network: Discriminator, images: DeviceImages, indices: np.ndarray
) -> np.ndarray:
    """Predicted classes of the images with these indices, int64 [len(indices)]."""
    return classify(network, images, indices).argmax(dim=1).numpy()
