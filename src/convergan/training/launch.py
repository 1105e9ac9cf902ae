"""The processes of a run and their devices, according to a recipe's hardware settings."""

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch.distributed import Store
from torch.distributed.distributed_c10d import _set_pg_timeout

from convergan.distributed import broadcast_object, rank, ranks
from convergan.errors import UserError, file_problem, one_line
from convergan.recipes.settings import HardwareSettings
from convergan.training.local_ranks import TIMEOUT, is_child, local_ranks
from convergan.training.signals import Interrupted

ResultT = TypeVar("ResultT")

TRAINING_TIMEOUT = timedelta(minutes=30)
"""Longest time that ranks wait for one another during training, in which rank 0 also tests and writes."""

_CPU_PROCESSES = 8
"""Number of processes that a CPU may always have, however few its cores, for trying data-parallel
training."""


def choose_device(
    settings: HardwareSettings, *, local_rank: int = 0, processes: int = 1
) -> torch.device:
    """The device of one of the processes on this machine.

    Raises:
        UserError: this machine does not have the accelerator, or has fewer devices than processes.
    """
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
    if processes > limit:
        place = f"for {cores} cores" if kind == "cpu" else f"of {kind} here"
        raise UserError(f"hardware.devices: expected at most {limit} {place}, got {processes}")
    return torch.device("cpu") if kind == "cpu" else torch.device(kind, local_rank)


@contextmanager
def launched(settings: HardwareSettings) -> Iterator[torch.device]:
    """Connect the processes of a run, and yield the device of this one.

    They are the processes of torchrun, or this process and those that it starts with the same command. In the
    block, `ranks` and `rank` of `convergan.distributed` return their number and that of this process. They
    disconnect at its end and after an error that all processes raise, because connections have threads, and a
    process that exits while one is running aborts.

    Raises:
        UserError: this machine does not have the accelerator or enough devices, processes did not find one
            another, or another process ended too early.
    """
    under_torchrun = torch.distributed.is_torchelastic_launched()
    local_rank, processes, world_size = 0, settings.devices, settings.devices
    if under_torchrun or is_child():
        local_rank = int(os.environ["LOCAL_RANK"])
    if under_torchrun:
        processes = int(os.environ["LOCAL_WORLD_SIZE"])
        world_size = int(os.environ["WORLD_SIZE"])
    device = choose_device(settings, local_rank=local_rank, processes=processes)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world_size == 1:
        yield device
        return
    if settings.threads is None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, _usable_cores() // processes))
    if under_torchrun:
        have_met = False
        try:
            with _connected(device):
                have_met = True
                yield device
        except RuntimeError as error:
            if not _is_of_connection(error):
                raise
            if not have_met:
                raise UserError(
                    f"torchrun: expected {world_size} processes that reach one another, but this one did not"
                    f" find them ({one_line(error)})"
                ) from error
            if device.type == "cpu" and torch.distributed.is_initialized():
                # Its threads must end before Python does; on GPUs this might wait for the lost process.
                torch.distributed.destroy_process_group()
            raise UserError(
                f"torchrun: expected {world_size} processes to the end, but this one lost another;"
                " --resume continues from the last checkpoint"
            ) from error
        return
    local = local_ranks(processes)
    with local.watched():
        try:
            with _connected(device, local.meeting(), local.rank, local.count):
                yield device
        except (UserError, Interrupted, RankFailed):
            raise
        except BaseException as error:
            # The other processes do not know of the error, and wait for this one.
            loss = local.loss(seconds=2) if isinstance(error, RuntimeError) else None
            local.kill()
            if loss is None:
                raise
            raise UserError(
                f"hardware.devices: expected {local.count} processes to the end, but {loss};"
                " --resume continues from the last checkpoint"
            ) from error


def launched_rank() -> int:
    """The rank of this process among those that torchrun or rank 0 has started, even after they have
    disconnected; 0 for a single process.
    """
    started = torch.distributed.is_torchelastic_launched() or is_child()
    return int(os.environ["RANK"]) if started else 0


def _is_of_connection(error: RuntimeError) -> bool:
    """True if an error of gloo or NCCL means that processes have lost one another."""
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_connected_here = False
"""True while `launched` has connected the processes."""


@contextmanager
def _connected(
    device: torch.device, store: Store | None = None, rank: int = -1, world_size: int = -1
) -> Iterator[None]:
    """Connect the processes in the block, unless they are connected; without a store by torchrun's
    environment.
    """
    global _connected_here
    if torch.distributed.is_initialized():
        yield
        return
    torch.distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=rank,
        world_size=world_size,
        timeout=TIMEOUT,
        device_id=None if device.type == "cpu" else device,
    )
    _connected_here = True
    try:
        yield
    except (UserError, Interrupted, RankFailed):
        torch.distributed.destroy_process_group()
        raise
    finally:
        _connected_here = False
    torch.distributed.destroy_process_group()
    # Networks that several processes trained keep the connection alive, whose threads must end before Python.
    gc.collect()


def wait_less() -> None:
    """Reduce the time that ranks wait for one another to `TRAINING_TIMEOUT`, once the images are read,
    because a machine that has vanished sends no message. A connection that `launched` did not make is left as
    it is.
    """
    if _connected_here:
        _set_pg_timeout(TRAINING_TIMEOUT)


class RankFailed(RuntimeError):
    """Error on all ranks after an unexpected error on one of them, whose traceback is in a note."""


def on_every_rank(task: Callable[[], ResultT]) -> ResultT:
    """Run a task on each rank. An error on one rank is raised on all, so that none waits for one that has
    ended.

    Every rank must call this function. The task itself must not wait for other ranks.

    Raises:
        UserError: the first rank that failed raised a user error, or the system an error about a file.
        RankFailed: it raised another error. A single process raises that error itself.
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
    if ranks() == 1:
        if failure is not None:
            raise failure
        return results[0]
    messages: list[tuple[str, str] | None] = [None] * ranks()
    torch.distributed.all_gather_object(messages, _message(failure))
    for failed_rank, message in enumerate(messages):
        if message is None:
            continue
        text, trace = message
        if not trace:
            raise UserError(text) from failure
        failed = RankFailed(f"rank {failed_rank}: {text}")
        failed.add_note(trace)
        raise failed from failure
    return results[0]


def on_rank_zero(task: Callable[[], object]) -> None:
    """Run a task only on rank 0. Its errors are raised on every rank, as by `on_every_rank`."""
    on_every_rank(task if rank() == 0 else lambda: None)


def from_rank_zero(task: Callable[[], ResultT]) -> ResultT:
    """Run a task only on rank 0, and return its result on every rank: another machine may not see the same
    files.
    """
    results: list[ResultT] = []
    on_rank_zero(lambda: results.append(task()))
    return broadcast_object(results)[0]


def _message(failure: Exception | None) -> tuple[str, str] | None:
    """A message about a failure for the other ranks: its text, and its traceback unless it is a user
    error.
    """
    if failure is None:
        return None
    if isinstance(failure, UserError):
        return str(failure), ""
    kind = "out of memory" if isinstance(failure, MemoryError) else type(failure).__name__
    return f"{kind}: {one_line(failure)}", "".join(traceback.format_exception(failure))
