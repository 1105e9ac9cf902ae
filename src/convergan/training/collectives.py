"""What several ranks do together, and a single one skips."""

import torch
from torch import Tensor


def ranks() -> int:
    """The number of processes that train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def mean_over_ranks(rows: Tensor) -> Tensor:
    """The mean row of the batch that all ranks hold together, [1, ...]; gradients flow to each rank's.

    Every rank must hold the same number of rows. On one rank the rows come back as they are: whoever
    takes their mean gets the same.
    """
    if ranks() == 1:
        return rows
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(rows.mean(dim=0, keepdim=True)) / ranks()


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of every rank's `values`, without gradient."""
    if ranks() == 1:
        return values
    values = values.detach().clone()
    torch.distributed.all_reduce(values)
    return values


def gather_from_ranks(values: Tensor) -> list[Tensor]:
    """Every rank's `values`, in the order of the ranks."""
    if ranks() == 1:
        return [values]
    gathered = [torch.empty_like(values) for _ in range(ranks())]
    torch.distributed.all_gather(gathered, values)
    return gathered


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is up on at least one rank."""
    if ranks() == 1:
        return flag
    return bool(sum_over_ranks(torch.tensor(float(flag), device=device)) > 0)
