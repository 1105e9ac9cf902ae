"""Products of all pairs of images, computed once for all metrics that need them.

Kernel distance, precision and recall all start from x . y of every two images. For 50,000 and 50,000 images
with 2,048 features these products take 20 million million operations, far more than everything else.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import rank, ranks
from convergan.metrics.metric import Embedded, Measured, Metric, Reference, images_of
from convergan.metrics.steps import Progress, Steps

BLOCK = 1024
"""Images in a block: its products fit into the cache of a processor."""

_MOST_IN_DOUBLE = 1e12
"""Number of multiplications up to which products are float64: about those of 10,000 and 10,000 images with
2,048 features. Beyond that, products are float32 and their sums float64."""

REFERENCE = -1
"""Number of the reference among the sets of images."""


class PairWork(ABC):
    """Work of a metric on the products of pairs: it takes them in blocks, and then gives its numbers."""

    @abstractmethod
    def take(
        self, pair: tuple[int, int], rows: slice, columns: slice, products: Float[Tensor, "r c"]
    ) -> None:
        """Take a block of products.

        Pairs of sets come one after the other: the reference with itself, then each set with itself and with
        the reference. Of a set with itself only the blocks on and above the diagonal come, as the matrix is
        symmetric.

        Args:
            pair: numbers of the two sets; REFERENCE for the reference.
            rows: images of the first set.
            columns: images of the second set.
            products: x . y; must not be changed.
        """

    @abstractmethod
    def join(self, pair: tuple[int, int]) -> None:
        """Merge the results of all processes for a pair of sets, after its last block."""

    @abstractmethod
    def measured(self) -> list[Measured]:
        """Numbers of all sets, after the last block."""


@dataclass(frozen=True, kw_only=True)
class PairMetric(Metric):
    """A metric that starts from the products of all pairs."""

    title: ClassVar[str]
    """Title for people."""

    @abstractmethod
    def work(self, sets: Sequence[Embedded], reference: Embedded, seed: int) -> PairWork:
        """Start the work on sets of images.

        Raises:
            UserError: there are too few images.
        """

    def measure(
        self,
        sets: Sequence[Embedded],
        reference: Reference,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Measured]:
        (measured,) = measure_pairs([self], sets, reference, seed=seed, progress=progress)
        return measured


def measure_pairs(
    metrics: Sequence[PairMetric],
    sets: Sequence[Embedded],
    reference: Reference,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[Measured]]:
    """Measure the same images with several metrics.

    Distributed processes share the pairs: all of them must call this with the same images.

    Args:
        metrics: the metrics.
        sets: the sets of images.
        reference: the reference, with images.
        seed: the seed of the random groups of images.
        progress: called with the number of blocks of pairs that are done, and the total.

    Returns:
        The numbers of each metric.

    Raises:
        UserError: there are too few images, or the reference has no images.
    """
    real = images_of(reference, _title(metrics))
    works = [metric.work(sets, real, seed) for metric in metrics]
    walk_pairs(
        works, [images.features for images in sets], real.features, progress, shared=is_shared()
    )
    return [work.measured() for work in works]


def walk_pairs(
    works: Sequence[PairWork],
    sets: Sequence[Float[Tensor, "images features"]],
    reference: Float[Tensor, "images features"],
    progress: Progress | None = None,
    *,
    shared: bool = False,
) -> None:
    """Compute the products of all pairs, block by block, and pass them on; see `PairWork.take`.

    Args:
        works: the work that takes the products.
        sets: features of each set.
        reference: features of the reference.
        progress: called with the number of blocks that this process has done, and the number that it has to
            do.
        shared: split the blocks among the distributed processes, and merge their results; all must call.

    Raises:
        ValueError: features have different lengths.
    """
    all_sets = {REFERENCE: reference, **dict(enumerate(sets))}
    for features in sets:
        if features.shape[1] != reference.shape[1]:
            raise ValueError(
                f"expected equal numbers of features, got {features.shape[1]} and {reference.shape[1]}"
            )
    pairs = [(REFERENCE, REFERENCE)]
    pairs += [
        pair for number in range(len(sets)) for pair in ((number, number), (number, REFERENCE))
    ]
    blocks = {
        pair: [
            (rows, columns)
            for rows in _blocks(len(all_sets[pair[0]]))
            for columns in _blocks(len(all_sets[pair[1]]))
            if pair[0] != pair[1] or columns.start >= rows.start
        ]
        for pair in pairs
    }
    largest = max(map(len, all_sets.values()))
    exact = largest**2 * reference.shape[1] <= _MOST_IN_DOUBLE
    dtype = torch.float64 if exact else torch.float32
    if shared:
        blocks = {pair: pair_blocks[rank() :: ranks()] for pair, pair_blocks in blocks.items()}
    steps = Steps(progress, sum(map(len, blocks.values())))
    for pair, pair_blocks in blocks.items():
        first, second = (all_sets[number] for number in pair)
        last, left = None, torch.empty(0)
        for rows, columns in pair_blocks:
            if rows != last:
                last, left = rows, first[rows].to(dtype)
            products = left @ second[columns].to(dtype).T
            for work in works:
                work.take(pair, rows, columns, products)
            steps.take()
        if shared:
            for work in works:
                work.join(pair)


def is_shared() -> bool:
    """Test whether there are other processes that can exchange numbers on CPUs."""
    return ranks() > 1 and torch.distributed.get_backend() != "nccl"


def _blocks(count: int) -> list[slice]:
    return [slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]


def _title(metrics: Sequence[PairMetric]) -> str:
    return ", ".join(metric.title for metric in metrics)
