"""Run batches through a network, in as many threads as are worthwhile."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from convergan.images.threads import map_in_threads
from convergan.networks.precision import without_tf32

_Batch = TypeVar("_Batch")
_Key = TypeVar("_Key")
_Output = TypeVar("_Output", bound=tuple[Tensor, ...])
_Result = TypeVar("_Result")

_MOST_THREADS = 16

_SWITCH_SECONDS = 1e-3
"""Longest time that a thread waits between two layers while another one runs Python: by default 5 ms, in
which many layers could be computed."""


def run_batches(
    network: Callable[[Tensor], _Output],
    batches: Iterable[tuple[_Key, Tensor]],
    device: torch.device,
    *,
    bf16: bool = False,
    in_threads: bool = True,
) -> Iterator[tuple[_Key, _Output]]:
    """A network's outputs for many images, a batch at a time and in order, without gradients.

    Args:
        network: function from a batch of images to a tuple of tensors, or a named tuple, such as logits and
            features.
        batches: pairs of a key for the batch and its images, which may be on the CPU.
        device: device to compute on.
        bf16: compute layers in bfloat16, by autocast. Otherwise in fp32, without TF32.
        in_threads: run the batches by `map_batches`.

    Returns:
        The key of each batch and its outputs, float32, on the CPU.
    """

    def run(batch: tuple[_Key, Tensor]) -> tuple[_Key, _Output]:
        key, images = batch
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=bf16),
            without_tf32(),
        ):
            output: Any = network(images.to(device))
        # Here, not where the results are read: there a GPU would be waited for.
        parts = [part.float().cpu() for part in output]
        output = output._make(parts) if hasattr(output, "_make") else tuple(parts)
        return key, output

    return map_batches(run, batches, device) if in_threads else map(run, batches)


def map_batches(
    work: Callable[[_Batch], _Result], batches: Iterable[_Batch], device: torch.device
) -> Iterator[_Result]:
    """Compute `map(work, batches)`, in order, while the next batches are being read.

    On a CPU each thread has its own batch: threads that share a batch wait for each other at every layer, and
    for long when other threads, such as the one that decodes images, need a core too.
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
    """The GPU of this process, a different one for each rank of a machine; without GPUs the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device("cpu")
