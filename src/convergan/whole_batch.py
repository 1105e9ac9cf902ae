"""A batch that several ranks hold together: which of its rows a rank has, and random numbers for them.

The numbers do not depend on how many ranks hold the batch: ranks draw from equal generators, each draws those
of the whole batch, and takes those of its own rows.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from convergan.distributed import rank, ranks


@dataclass(frozen=True)
class _Share:
    """The rows of a whole batch, or of a block of it, that this rank holds."""

    total_rows: int
    """Number of rows of all ranks."""

    spans: tuple[slice, ...]
    """Rows of this rank, in their order."""

    @property
    def rows(self) -> int:
        return sum(span.stop - span.start for span in self.spans)

    def take(self, values: Tensor) -> Tensor:
        """The rows of this rank, given those of all ranks, [rows, ...]."""
        parts = [values[span] for span in self.spans]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def part(self, first: int, end: int) -> "_Share":
        """The share of the rows from `first` to before `end`; it may be empty."""
        spans = tuple(
            slice(max(span.start, first) - first, min(span.stop, end) - first)
            for span in self.spans
            if span.start < end and span.stop > first
        )
        return _Share(end - first, spans or (slice(0, 0),))


_share: _Share | None = None
"""The share in the batch under way; None: this process has all of its rows."""


@contextmanager
def _under_way(share: _Share | None) -> Iterator[None]:
    global _share
    previous, _share = _share, share
    try:
        yield
    finally:
        _share = previous


@contextmanager
def batch_of_ranks(group_sizes: Sequence[int]) -> Iterator[None]:
    """Name the batch under way in the block: one that all ranks hold together.

    Of each group of the batch every rank holds as many rows, in the order of the ranks. All ranks must draw
    alike, from equal generators. On one rank nothing changes.

    Args:
        group_sizes: rows of each group on this rank, in their order.
    """
    if ranks() == 1:
        yield
        return
    ends = list(accumulate(size * ranks() for size in group_sizes))
    firsts = [end - size * (ranks() - rank()) for size, end in zip(group_sizes, ends, strict=True)]
    spans = [slice(first, first + size) for size, first in zip(group_sizes, firsts, strict=True)]
    with _under_way(_Share(ends[-1], tuple(spans))):
        yield


def draw_rows(draw: Callable[[int], Tensor], rows: int) -> Tensor:
    """Random numbers for `rows` samples of a batch: in `batch_of_ranks` this rank's of the whole one.

    Args:
        draw: from a number of samples to numbers for them, [samples, ...].
        rows: samples on this rank. Where they are not those of the batch under way, all ranks get the same
            numbers.
    """
    if _share is None or rows != _share.rows:
        return draw(rows)
    return _share.take(draw(_share.total_rows))


def are_of_others(rows: int) -> bool:
    """True if a batch of all ranks is under way, and `rows` on this rank are not its rows."""
    return _share is not None and rows != _share.rows


def with_rows(template: Tensor, rows: int) -> Tensor:
    """A tensor like `template` but with another number of rows; its values mean nothing."""
    if rows == template.shape[0]:
        return template
    last = template.ndim == 4 and template.is_contiguous(memory_format=torch.channels_last)
    return torch.empty(
        (rows, *template.shape[1:]),
        dtype=template.dtype,
        device=template.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def rows_in_all(rows: int) -> int:
    """The number of rows of all ranks in the batch under way, of which this rank holds `rows`."""
    return _share.total_rows if _share is not None and rows == _share.rows else rows


def rows_of_halves(rows: int) -> list[int]:
    """The numbers of this rank's `rows` in the first and in the second half of the batch under way.

    Of an odd number the first half is the larger one.
    """
    total_rows = rows_in_all(rows)
    share = (
        _share if _share is not None and rows == _share.rows else _Share(rows, (slice(0, rows),))
    )
    first = share.part(0, total_rows - total_rows // 2).rows
    return [first, rows - first]


def blocks_of_rows(batch: Tensor, blocks: int) -> Iterator[Tensor]:
    """Blocks of the batch under way, as `Tensor.chunk` divides it, each with the rows of this rank in it.

    What is drawn for the rows of a block, before the next is asked for, is for those of all ranks in it. A
    rank may have none of them.
    """
    share = _share
    if share is None or batch.shape[0] != share.rows:
        yield from batch.chunk(blocks)
        return
    size, done = -(-share.total_rows // blocks), 0
    for first in range(0, share.total_rows, size):
        block_share = share.part(first, min(first + size, share.total_rows))
        with _under_way(block_share):
            yield batch[done : done + block_share.rows]
        done += block_share.rows
