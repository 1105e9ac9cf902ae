"""Collective operations of several ranks, which a single rank skips."""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

ValueT = TypeVar("ValueT")


def ranks() -> int:
    """The number of processes that work together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def rank() -> int:
    """The number of this process among those that work together, from 0."""
    return torch.distributed.get_rank() if ranks() > 1 else 0


def mean_over_ranks(rows: Tensor) -> Tensor:
    """The mean row of the batch that all ranks hold together, [1, ...]; gradients flow to each rank's rows.

    For losses of means, such as feature matching, in data-parallel training: the gradients of the ranks'
    losses, averaged over the ranks as `DistributedDataParallel` does, are those of one process that holds the
    whole batch. On one rank the rows come back as they are: whoever takes their mean gets the same.

    Args:
        rows: this rank's part of the batch, [rows, ...]; there is at least one row on some rank. Every rank
            must call.

    Returns:
        The mean, in float32 or wider; the ranks may hold different numbers of rows.
    """
    if ranks() == 1:
        return rows
    dtype = torch.promote_types(rows.dtype, torch.float32)
    own = rows.sum(dim=0, keepdim=True, dtype=dtype)
    count = own.new_full((1,), rows.shape[0])
    total: Tensor = _SumOverRanks.apply(torch.cat([own.flatten(), count]))
    return total[:-1].view(own.shape) / total[-1]


def moments_over_ranks(values: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance over some axes of what all ranks hold together; gradients flow to each rank's.

    For normalization by statistics of the whole batch; the gradients are as those of `mean_over_ranks`. One
    exchange of twice as many numbers as there are means.

    Args:
        values: this rank's, of the same shape on every rank but for the length of `axes`, which may be 0 on
            some. Every rank must call, and must call `backward` if one does.
        axes: that the moments are over.

    Returns:
        The mean and the variance, in float32 or wider, with length 1 in `axes`, and the number of values that
        each is over, [].
    """
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    if values.numel():
        variance, mean = torch.var_mean(wide, dim=list(axes), correction=0, keepdim=True)
    else:
        # 0, and part of the graph: the others wait for the gradient.
        variance = mean = wide.sum(dim=list(axes), keepdim=True)
    count = mean.new_full((1,), values.numel() / mean.numel())
    if ranks() == 1:
        return mean, variance, count[0]
    moments = torch.cat([mean.flatten(), variance.flatten(), count])
    gathered: Tensor = _GatherRows.apply(moments.unsqueeze(0), [1] * ranks())
    means, variances, counts = gathered.split([mean.numel(), mean.numel(), 1], dim=1)
    shares = counts / counts.sum()
    shape, mean = mean.shape, (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return mean.view(shape), variance.view(shape), counts.sum()


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of the batch that all ranks hold together, in the order of the ranks; gradients flow to each
    rank's rows.

    For losses in which samples of all ranks meet, such as those of samples that are compared with each other.
    A rank's rows get the sum of the gradients of all ranks' losses. `DistributedDataParallel` averages the
    gradients of the weights over the ranks: they are then those of one process that holds the whole batch,
    where the mean of the ranks' losses is the loss of that process. So it is if each rank computes the same
    loss of all rows, and if each computes the mean over its own rows and has as many as the others. On one
    rank the rows come back as they are.

    Args:
        rows: this rank's part of the batch, [rows, ...]; the ranks may hold different numbers of rows, also
            none. Every rank must call, and must call `backward` if one does.

    Returns:
        [all rows, ...], of the same type.
    """
    if ranks() == 1:
        return rows
    count = torch.tensor([rows.shape[0]], device=rows.device)
    counts = torch.cat(gather_from_ranks(count)).tolist()
    gathered: Tensor = _GatherRows.apply(rows, counts)
    return gathered


class _GatherRows(torch.autograd.Function):
    """The rows of all ranks. Each rank's loss depends on them: their gradients are summed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        first = sum(counts[: rank()])
        ctx.own = slice(first, first + counts[rank()])
        # Every rank has to send as many.
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: rows.shape[0]] = rows
        parts = gather_from_ranks(padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _SumOverRanks.apply(gradient)[ctx.own], None


class _SumOverRanks(torch.autograd.Function):
    """The sum of every rank's values. Each rank's loss depends on it: their gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return sum_over_ranks(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOverRanks.apply(gradient)


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of every rank's `values`, without gradient."""
    if ranks() == 1:
        return values
    values = values.detach().clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(values)
    return values


def gather_from_ranks(values: Tensor) -> list[Tensor]:
    """The `values` of all ranks, in the order of the ranks."""
    if ranks() == 1:
        return [values]
    gathered = [torch.empty_like(values) for _ in range(ranks())]
    torch.distributed.all_gather(gathered, values)
    return gathered


def any_rank(flag: bool, device: torch.device) -> bool:
    """True if the flag is true on at least one rank."""
    if ranks() == 1:
        return flag
    return bool(sum_over_ranks(torch.tensor(float(flag), device=device)) > 0)


def union_over_ranks(values: Collection[ValueT]) -> frozenset[ValueT]:
    """The values that at least one rank has."""
    if ranks() == 1:
        return frozenset(values)
    gathered: list[Collection[ValueT]] = [()] * ranks()
    torch.distributed.all_gather_object(gathered, values)
    return frozenset(chain(*gathered))


def broadcast_object(value: ValueT) -> ValueT:
    """The `value` of rank 0, on every rank; the values of the other ranks are ignored."""
    if ranks() == 1:
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def data_parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network in `DistributedDataParallel`: gradients of its outputs are averaged over the ranks.

    Each rank keeps the buffers that it moves, until `share_buffers`.
    """
    if ranks() == 1:
        return network
    return DistributedDataParallel(
        network,
        device_ids=None if device.type == "cpu" else [device.index],
        forward_sync_buffers=False,
    )


@torch.no_grad()
def share_buffers(buffers: Sequence[Tensor]) -> None:
    """Give all ranks the buffers of rank 0; every rank must call, with buffers in the same order."""
    for buffer in buffers:
        torch.distributed.broadcast(buffer, 0)
