"""Lightning Fabric as a recipe's hardware settings describe it."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning_fabric import Fabric

from convergan.errors import UserError, file_problem, one_line
from convergan.recipes.settings import HardwareSettings
from convergan.training.signals import Interrupted

ResultT = TypeVar("ResultT")

_CPU_PROCESSES = 8
"""Largest number of processes on a CPU, however few cores it has, to try data-parallel training."""


def launch(settings: HardwareSettings) -> Fabric:
    """One process, or several, launched here or already by torchrun.

    Raises:
        UserError: this machine does not have the accelerator, or not so many devices.
    """
    devices, nodes = settings.devices, 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    else:
        _require_devices(settings)
    several = devices * nodes > 1
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if several else "auto",
            # The loop lowers the precision of the discriminator's step alone.
            precision="32-true",
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"hardware: expected what this machine has, got accelerator {settings.accelerator}, "
            f"devices {devices}"
        ) from error
    fabric.launch()
    return fabric


def _require_devices(settings: HardwareSettings) -> None:
    """Checks that the processes to be launched have their devices, before anything is."""
    cores = os.cpu_count() or 1
    available = {
        "cpu": max(cores, _CPU_PROCESSES),
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    gpu = next((kind for kind in ("cuda", "mps") if available[kind]), None)
    if settings.accelerator == "auto":
        kind = gpu or "cpu"
    elif settings.accelerator == "gpu":
        kind = gpu or "gpu"
    else:
        kind = settings.accelerator
    limit = available.get(kind, 0)
    if limit == 0:
        names = ", ".join(["auto", *(name for name, count in available.items() if count)])
        raise UserError(
            f"hardware.accelerator: expected one of what torch finds here, {names}, got"
            f" {settings.accelerator}"
        )
    if settings.devices > limit:
        place = f"for {cores} cores" if kind == "cpu" else f"of {kind} here"
        raise UserError(
            f"hardware.devices: expected at most {limit} {place}, got {settings.devices}"
        )


@contextmanager
def launched(settings: HardwareSettings) -> Iterator[Fabric]:
    """Yields what `launch` gives, until the block ends or raises an error that all processes raise.

    Then the processes disconnect: connections have threads, and a process that exits beside a running one
    aborts.
    """
    joined_before = torch.distributed.is_initialized()
    fabric = launch(settings)
    try:
        yield fabric
    except (UserError, Interrupted, RankFailed):
        _part(joined_before)
        raise
    _part(joined_before)


def _part(joined_before: bool) -> None:
    if torch.distributed.is_initialized() and not joined_before:
        torch.distributed.destroy_process_group()


class RankFailed(RuntimeError):
    """An unexpected error on one of several ranks, raised on all of them; a note has its traceback."""


def on_every_rank(fabric: Fabric, task: Callable[[], ResultT]) -> ResultT:
    """Does a task on each rank. An error on one is raised on all: no rank waits for one that has ended.

    Every rank must call it. The task itself must not wait for other ranks.

    Raises:
        UserError: a user error, or an error of the system with a file, on the first rank that failed.
        RankFailed: that rank raised something else. A single process raises it as it is.
    """
    results: list[ResultT] = []
    failure: Exception | None = None
    try:
        results.append(task())
    except UserError as error:
        failure = error
    except OSError as error:
        failure = UserError(file_problem(error))
        failure.__cause__ = error
    except Exception as error:
        failure = error
    if fabric.world_size == 1:
        if failure is not None:
            raise failure
        return results[0]
    messages: list[tuple[str, str] | None] = [None] * fabric.world_size
    torch.distributed.all_gather_object(messages, _message(failure))
    for rank, message in enumerate(messages):
        if message is None:
            continue
        text, trace = message
        if not trace:
            raise UserError(text) from failure
        failed = RankFailed(f"rank {rank}: {text}")
        failed.add_note(trace)
        raise failed from failure
    return results[0]


def on_rank_zero(fabric: Fabric, task: Callable[[], object]) -> None:
    """Does a task on rank 0 alone; what it raises is raised on every rank, as by `on_every_rank`."""
    on_every_rank(fabric, task if fabric.is_global_zero else lambda: None)


def _message(failure: Exception | None) -> tuple[str, str] | None:
    """A message on a failure for the other ranks: its text, and its traceback unless it is a user error."""
    if failure is None:
        return None
    if isinstance(failure, UserError):
        return str(failure), ""
    kind = "out of memory" if isinstance(failure, MemoryError) else type(failure).__name__
    return f"{kind}: {one_line(failure)}", "".join(traceback.format_exception(failure))
