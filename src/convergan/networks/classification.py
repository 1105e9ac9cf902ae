"""Outputs of a trained discriminator for images, computed alike for all purposes."""

import torch
from jaxtyping import Float32
from torch import Tensor

from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.networks.precision import without_tf32


def classified(
    network: Discriminator, images: Float32[Tensor, "batch channels height width"]
) -> DiscriminatorOutput:
    """Logits and features of images in `network.pixel_range`, in float32.

    Test errors, predictions and scores are all computed here: in evaluation mode, which is put back, without
    gradients, and in fp32 without TF32, unless the caller's autocast says otherwise. What is said of an image
    does not depend on the others of the batch.
    """
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), without_tf32():
            output = network(images)
    finally:
        network.train(training)
    return DiscriminatorOutput(output.logits.float(), output.features.float())
