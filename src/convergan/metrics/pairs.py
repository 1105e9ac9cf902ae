"""Products of all pairs of images, computed once for all metrics that need them.

Kernel distance, precision and recall all start from x . y of every two images. For 50,000 beside 50,000
images of 2,048 features that is 20 million million operations, and all else is little beside it.
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
"""Images of a block: its products fit into a processor's cache."""

_MOST_IN_DOUBLE = 1e12
"""Products of single numbers up to which they are of float64: some 10,000 beside 10,000 images of 2,048
features. Beyond, they are of float32, their sums of float64."""

REFERENCE = -1
"""The reference's number among sets of images."""


class PairWork(ABC):
    """What a metric does with the products of pairs: blocks of rows and columns, then numbers."""

    @abstractmethod
    def take(
        self, pair: tuple[int, int], rows: slice, columns: slice, products: Float[Tensor, "r c"]
    ) -> None:
        """Looks at a block.

        All blocks of a pair of sets come before those of the next: the reference with itself, then of each
        set, with itself and with the reference. Of a set with itself only blocks on the diagonal and above
        come: those below are the same.

        Args:
            pair: the two sets' numbers; REFERENCE for the reference.
            rows: images of the first set.
            columns: of the second.
            products: x . y; not to be changed.
        """

    @abstractmethod
    def join(self, pair: tuple[int, int]) -> None:
        """Takes in what other processes have seen of a pair of sets, after its last block."""

    @abstractmethod
    def measured(self) -> list[Measured]:
        """The numbers, after all blocks."""


@dataclass(frozen=True, kw_only=True)
class PairMetric(Metric):
    """A metric that starts from the products of all pairs."""

    title: ClassVar[str]
    """For people."""

    @abstractmethod
    def work(self, sets: Sequence[Embedded], reference: Embedded, seed: int) -> PairWork:
        """Begins to measure.

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
        (found,) = measure_pairs([self], sets, reference, seed=seed, progress=progress)
        return found


def measure_pairs(
    metrics: Sequence[PairMetric],
    sets: Sequence[Embedded],
    reference: Reference,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[Measured]]:
    """Several metrics of the same images. Processes that work together share the pairs: all must call, and
    have the same images.

    Args:
        metrics: which.
        sets: of which images.
        reference: beside which.
        seed: of the groups that images are put into.
        progress: called with the number of blocks of pairs that are done, and of all.

    Returns:
        The numbers of each metric.

    Raises:
        UserError: there are too few images, or no images of the reference.
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
    """Shows the products of all pairs to those who need them; see `PairWork.take`.

    Args:
        works: who need them.
        sets: features of each set.
        reference: features of the reference.
        progress: called with the number of blocks that this process has done, and of all that it has to do.
        shared: this process does its share, and takes in what the others find; all must call.

    Raises:
        ValueError: features of different length.
    """
    everything = {REFERENCE: reference, **dict(enumerate(sets))}
    for features in sets:
        if features.shape[1] != reference.shape[1]:
            raise ValueError(
                f"expected as many features, got {features.shape[1]} and {reference.shape[1]} of them"
            )
    pairs = [(REFERENCE, REFERENCE)]
    pairs += [
        pair for number in range(len(sets)) for pair in ((number, number), (number, REFERENCE))
    ]
    blocks = {
        pair: [
            (rows, columns)
            for rows in _blocks(len(everything[pair[0]]))
            for columns in _blocks(len(everything[pair[1]]))
            if pair[0] != pair[1] or columns.start >= rows.start
        ]
        for pair in pairs
    }
    largest = max(map(len, everything.values()))
    exact = largest**2 * reference.shape[1] <= _MOST_IN_DOUBLE
    dtype = torch.float64 if exact else torch.float32
    if shared:
        blocks = {pair: of_pair[rank() :: ranks()] for pair, of_pair in blocks.items()}
    steps = Steps(progress, sum(map(len, blocks.values())))
    for pair, of_pair in blocks.items():
        first, second = (everything[number] for number in pair)
        last, left = None, torch.empty(0)
        for rows, columns in of_pair:
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
    """Whether there are other processes, and numbers on CPUs can be told to them."""
    return ranks() > 1 and torch.distributed.get_backend() != "nccl"


def _blocks(count: int) -> list[slice]:
    return [slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]


def _title(metrics: Sequence[PairMetric]) -> str:
    return ", ".join(metric.title for metric in metrics)
