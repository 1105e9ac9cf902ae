"""Claim: an epoch of `mnist`, with data, evaluation and checkpoints, is three times as fast as the peer's.

    python benchmarks/mnist_epoch.py --data DIR [--epochs 3] [--threads N] [--device cuda] [--compile]

Ours is what `train` does, without baseline: the loop, its checkpoints, both networks tested on the 10,000
test images, metrics. The peer's (`peer_mnist`) decodes its images in a `DataLoader` and tests its averaged
network. They take turns in one process, an epoch each. Before, a tenth of an epoch with 0, 1, 2, 4 ...
processes that decode, up to one a core, decides how many the peer gets. The floor is the arithmetic of the
steps, and of testing one network, at the rate of a large matrix product.
"""

from epoch_comparison import measure_epochs
from peer_mnist import Peer


def main() -> None:
    measure_epochs(
        "mnist",
        lambda device: Peer(device=device),
        description=__doc__,
        claim="an epoch, with data, evaluation and checkpoints, is 3 times as fast as the peer's",
        setting="mnist, 100 labels, batch 100, baseline off",
        peer_name="plain PyTorch (benchmarks/peer_mnist.py), DataLoader",
    )


if __name__ == "__main__":
    main()
