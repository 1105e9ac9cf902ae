"""Outputs of a trained discriminator for images, computed the same way for all purposes."""

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.networks.pixels import to_network
from convergan.networks.precision import without_tf32

_CPU_BATCH_PIXELS = 2**18
"""Number of pixels in a batch. A CPU runs several batches at once, and gains little from larger ones."""

_BATCH_PIXELS = 2**23
"""Number of pixels in a batch on other devices."""


def batch_size(size_px: tuple[int, int], device_type: str) -> int:
    """The number of images of this height and width that are classified at a time, 16 to 512."""
    height, width = size_px
    pixels = _CPU_BATCH_PIXELS if device_type == "cpu" else _BATCH_PIXELS
    return min(max(pixels // (height * width), 16), 512)


def classified_pixels(
    network: Discriminator,
    images: UInt8[Tensor, "batch height width channels"]
    | Float[Tensor, "batch height width channels"],
) -> DiscriminatorOutput:
    """The result of `classified` for images as files have them, uint8, or for floats from 0 to 1.

    Test errors, predictions and scores of many images come from `run_batches` with this function: with
    batches of `batch_size` they agree on every image.
    """
    return classified(network, to_network(images, network.pixel_range))


def classified(
    network: Discriminator, images: Float32[Tensor, "batch channels height width"]
) -> DiscriminatorOutput:
    """Logits and features of images in `network.pixel_range`, in float32.

    Test errors, predictions and scores are all computed here: in evaluation mode, which is put back, without
    gradients, and in fp32 without TF32, unless the caller's autocast says otherwise. The outputs for
    an image do not depend on the other images of the batch.
    """
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), without_tf32():
            output = network(images)
    finally:
        network.train(training)
    return DiscriminatorOutput(output.logits.float(), output.features.float())
