"""Claim: how long a training step of `cifar10` takes on a CPU, beside the peer's and its arithmetic.

    python benchmarks/cifar10_step.py [--steps 5] [--threads N]

As `mnist_step`, with convolutions, on random images: a step takes seconds.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.recipes.presets import PRESETS
from mnist_step import compare_steps, print_row
from peer_cifar10 import cifar10_peer
from rows import timing, write_rows


def random_images(count: int, size_px: int = 32) -> DataSet:
    """As many random images for testing as for training, in ten classes."""
    images = np.random.default_rng(0).integers(
        256, size=(2, count, size_px, size_px, 3), dtype=np.uint8
    )
    labels = np.arange(count) % 10
    return data_set_from_arrays(images[0], labels, images[1], labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = replace(PRESETS["cifar10"], labels=100)
    row = timing(
        claim="a training step beside its arithmetic and the peer's",
        setting="cifar10, batch 100, one step of both players, baseline off, random images",
        peer_name="plain PyTorch (benchmarks/peer_cifar10.py), images in memory",
        **compare_steps(
            recipe, random_images(500), cifar10_peer(), steps=arguments.steps, warm_up=1
        ),
    )
    print_row(row)
    print(write_rows("cifar10-step", [row]))


if __name__ == "__main__":
    main()
