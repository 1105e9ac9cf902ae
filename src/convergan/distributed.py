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
        rows: this rank's part of the batch, [rows, ...], at least one row. Every rank must call.

    Returns:
        The mean, in float32 or wider; the ranks may hold different numbers of rows.
    """
    if ranks() == 1:
        return rows
    mean = rows.mean(dim=0, keepdim=True, dtype=torch.promote_types(rows.dtype, torch.float32))
    count = torch.tensor(rows.shape[0], dtype=torch.float64, device=rows.device)
    # Exactly 1 where all ranks have equally many.
    share = count * ranks() / sum_over_ranks(count)
    summed: Tensor = _SumOverRanks.apply(mean * share.to(mean.dtype))
    return summed / ranks()


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
    """What at least one rank has."""
    if ranks() == 1:
        return frozenset(values)
    everyones: list[Collection[ValueT]] = [()] * ranks()
    torch.distributed.all_gather_object(everyones, values)
    return frozenset(chain(*everyones))


def broadcast_object(value: ValueT) -> ValueT:
    """The `value` that rank 0 has, on every rank; what the others give is not looked at."""
    if ranks() == 1:
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def data_parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network in `DistributedDataParallel`: gradients of its outputs are averaged over the ranks.

    Each rank keeps the buffers that its own images move, until `share_buffers`.
    """
    if ranks() == 1:
        return network
    return DistributedDataParallel(
        network,
        device_ids=None if device.type == "cpu" else [device.index],
        broadcast_buffers=False,
    )


@torch.no_grad()
def share_buffers(network: nn.Module, averaged: Sequence[Tensor]) -> None:
    """Makes the buffers of a network the same on all ranks, each of which has seen other images.

    Args:
        network: on every rank, which all must call.
        averaged: those of its buffers that become the mean over the ranks, such as running statistics; the
            others become what rank 0 has.
    """
    if averaged:
        means = sum_over_ranks(torch.cat([each.flatten() for each in averaged])) / ranks()
        for buffer, mean in zip(
            averaged, means.split([each.numel() for each in averaged]), strict=True
        ):
            buffer.copy_(mean.view_as(buffer))
    known = set(map(id, averaged))
    for buffer in network.buffers():
        if id(buffer) not in known:
            torch.distributed.broadcast(buffer, 0)
