"""Claim: on a GPU an epoch of `cifar10` takes at most 3 seconds, a third of the peer's.

    python benchmarks/cifar10_epoch.py --data DIR [--epochs 3] [--threads N] [--device cuda] [--compile]

As `mnist_epoch`, with 4,000 labels. On a CPU an epoch takes an hour.
"""

from epoch_comparison import measure_epochs
from peer_cifar10 import cifar10_peer


def main() -> None:
    measure_epochs(
        "cifar10",
        cifar10_peer,
        description=__doc__,
        claim="an epoch, with data, evaluation and checkpoints, takes at most 3 seconds on a GPU",
        setting="cifar10, 4,000 labels, batch 100, baseline off",
        peer_name="plain PyTorch (benchmarks/peer_cifar10.py), DataLoader",
    )


if __name__ == "__main__":
    main()
