"""Claim: on a GPU an epoch of `cifar10` takes at most 3 seconds, a third of the peer's.

    python benchmarks/cifar10_epoch.py --data DIR [--epochs 3] [--device cuda] [--compile]

As `mnist_epoch`, with 4,000 labels. On a CPU an epoch takes an hour.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from convergan.recipes.presets import PRESETS
from mnist_epoch import compare_epochs
from mnist_step import add_device, print_row, results_name
from peer_cifar10 import cifar10_peer
from rows import timing, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    add_device(parser)
    arguments = parser.parse_args()
    recipe = PRESETS["cifar10"]
    recipe = replace(recipe, hardware=replace(recipe.hardware, compile=arguments.compile))
    row = timing(
        claim="an epoch, with data, evaluation and checkpoints, takes at most 3 seconds on a GPU",
        setting="cifar10, 4,000 labels, batch 100, baseline off",
        peer_name="plain PyTorch (benchmarks/peer_cifar10.py), DataLoader",
        **compare_epochs(
            recipe,
            arguments.data,
            partial(cifar10_peer, arguments.device),
            epochs=arguments.epochs,
            device=arguments.device,
        ),
    )
    print_row(row)
    print(write_rows(results_name("cifar10-epoch", arguments), [row]))


if __name__ == "__main__":
    main()
