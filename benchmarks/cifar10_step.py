"""Claim: how long a training step of `cifar10` takes, beside the peer's and its arithmetic.

    python benchmarks/cifar10_step.py [--steps 5] [--threads N] [--device cuda] [--compile]

As `mnist_step`, with convolutions, on random images: on a CPU a step takes seconds.
"""

import argparse
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from comparison_command import add_device, print_row, results_name
from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.recipes.presets import PRESETS
from peer_cifar10 import cifar10_peer
from rows import timing, write_rows
from step_comparison import WARM_UP, compare_steps


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
    add_device(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = PRESETS["cifar10"]
    hardware = replace(recipe.hardware, compile=arguments.compile)
    recipe = replace(recipe, labels=100, hardware=hardware)
    row = timing(
        claim="a training step beside its arithmetic and the peer's",
        setting="cifar10, batch 100, one step of both players, baseline off, random images",
        peer_name="plain PyTorch (benchmarks/peer_cifar10.py), images in memory",
        **compare_steps(
            recipe,
            random_images(500),
            partial(cifar10_peer, arguments.device),
            steps=arguments.steps,
            # CUDA graphs are recorded in the first few.
            warm_up=1 if arguments.device == "cpu" else WARM_UP,
            device=arguments.device,
        ),
    )
    print_row(row)
    print(write_rows(results_name("cifar10-step", arguments), [row]))


if __name__ == "__main__":
    main()
