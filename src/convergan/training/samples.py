"""Samples from fixed noise, and their diversity."""

import math

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, epoch_order
from convergan.networks.interface import Generator
from convergan.networks.pixels import to_network
from convergan.networks.precision import without_tf32
from convergan.training.health import mean_pairwise_distance
from convergan.training.player import Player

DIVERSITY_IMAGES = 200
"""Number of images whose pairwise distances measure the diversity of a generator."""


def diversity(
    player: Player[Generator] | None, images: DeviceImages, unlabelled: np.ndarray, seed: int
) -> float:
    """Mean pairwise distance of fixed samples, divided by that of as many fixed images; NaN without a
    generator.
    """
    if player is None:
        return math.nan
    generator = player.tested
    count = min(DIVERSITY_IMAGES, len(unlabelled))
    order = epoch_order(unlabelled, steps=1, batch_size=count, seed=0, epoch=0, stream="diversity")
    real = to_network(images.gather(order[0]), generator.pixel_range)
    samples = fixed_samples(generator, count, seed)
    distance = mean_pairwise_distance(real)
    return mean_pairwise_distance(samples) / distance if distance else math.nan


def fixed_samples(generator: Generator, count: int, seed: int) -> Tensor:
    """Images [count, channels, height, width] from noise that depends only on the seed."""
    # Whole batches, if images are normalized by the statistics of their batch.
    batch = generator.sample_batch or count
    padded_count = math.ceil(count / batch) * batch
    device = next(generator.parameters()).device
    noise = torch.Generator().manual_seed(seed)
    training = generator.training
    generator.eval()
    with torch.no_grad(), without_tf32():
        samples = generator(generator.latent(padded_count, "cpu", noise).to(device))
    generator.train(training)
    return samples[:count]
