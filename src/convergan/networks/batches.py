"""Batches through a network, by as many threads as pay."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch

from convergan.images.threads import map_in_threads

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")

_MOST_THREADS = 16

_SWITCH_SECONDS = 1e-3
"""How long a thread waits at most, between two layers, while another one runs Python: by default 5 ms,
in which many layers could be computed."""


def map_batches(
    work: Callable[[_Batch], _Result], batches: Iterable[_Batch], device: torch.device
) -> Iterator[_Result]:
    """`map(work, batches)`, in order, while the next batches are being read.

    On a CPU each thread has its own batch: those that share one wait for each other at every layer, and for
    long where others, such as the one that decodes, need a core too.
    """
    on_cpu = device.type == "cpu"
    torch_threads, switch_seconds = torch.get_num_threads(), sys.getswitchinterval()
    try:
        if on_cpu:
            sys.setswitchinterval(min(_SWITCH_SECONDS, switch_seconds))
        yield from map_in_threads(
            work,
            batches,
            threads=min(torch_threads, _MOST_THREADS) if on_cpu else 1,
            begin=(lambda: torch.set_num_threads(1)) if on_cpu else None,
        )
    finally:
        sys.setswitchinterval(switch_seconds)
        # It was set for those threads alone, but also for all that are yet to come.
        torch.set_num_threads(torch_threads)


def device_of_process(rank: int = 0) -> torch.device:
    """A GPU where there is one, another for each process of a machine; else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device("cpu")
