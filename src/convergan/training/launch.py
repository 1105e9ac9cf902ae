"""The processes of a run and their devices, as a recipe's hardware settings describe them."""

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
"""Longest time that ranks wait for one another while they train: rank 0 tests and writes meanwhile."""

_CPU_PROCESSES = 8
"""Largest number of processes on a CPU, however few cores it has, to try data-parallel training."""


def choose_device(
    settings: HardwareSettings, *, local_rank: int = 0, processes: int = 1
) -> torch.device:
    """The device of one of the processes on this machine.

    Raises:
        UserError: this machine does not have the accelerator, or not so many devices as processes.
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
    """Joins the processes of a run, and yields the device of this one.

    They are those of torchrun, or this one and those that it starts, which run the same command. `ranks` and
    `rank` of `convergan.distributed` tell their number and this one's in the block. At its end, and after an
    error that all processes raise, they disconnect: connections have threads, and a process that exits beside
    a running one aborts.

    Raises:
        UserError: this machine does not have the accelerator, or not so many devices; or processes did not
            find each other, or another one ended while this one needed it.
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
                # Its threads must end before Python does; on GPUs this may wait for the lost one.
                torch.distributed.destroy_process_group()
            raise UserError(
                f"torchrun: expected {world_size} processes to the end, but this one lost another;"
                " --resume goes on from the last checkpoint"
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
            # The others do not know of it, and wait for this process.
            loss = local.loss(seconds=2) if isinstance(error, RuntimeError) else None
            local.kill()
            if loss is None:
                raise
            raise UserError(
                f"hardware.devices: expected {local.count} processes to the end, but {loss};"
                " --resume goes on from the last checkpoint"
            ) from error


def launched_rank() -> int:
    """The rank of this process among those that torchrun or another rank has started, also when they have
    disconnected; 0 where it is alone."""
    started = torch.distributed.is_torchelastic_launched() or is_child()
    return int(os.environ["RANK"]) if started else 0


def _is_of_connection(error: RuntimeError) -> bool:
    """Whether processes have lost one another, by what gloo and NCCL raise."""
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
    """Connects the processes in the block, unless they are; without a store by torchrun's environment."""
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
    # Networks that several processes trained hold the connection, whose threads must end before Python does.
    gc.collect()


def wait_less() -> None:
    """Has the ranks wait for one another no longer than `TRAINING_TIMEOUT` from now on, once the images are
    read: a machine that has vanished says nothing. Of a connection that was there before, the time stays."""
    if _connected_here:
        _set_pg_timeout(TRAINING_TIMEOUT)


class RankFailed(RuntimeError):
    """An unexpected error on one of several ranks, raised on all of them; a note has its traceback."""


def on_every_rank(task: Callable[[], ResultT]) -> ResultT:
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
    """Does a task on rank 0 alone; what it raises is raised on every rank, as by `on_every_rank`."""
    on_every_rank(task if rank() == 0 else lambda: None)


def from_rank_zero(task: Callable[[], ResultT]) -> ResultT:
    """What a task of rank 0 alone comes to, on every rank: another machine may not see the same files."""
    results: list[ResultT] = []
    on_rank_zero(lambda: results.append(task()))
    return broadcast_object(results)[0]


def _message(failure: Exception | None) -> tuple[str, str] | None:
    """A message on a failure for the other ranks: its text, and its traceback unless it is a user error."""
    if failure is None:
        return None
    if isinstance(failure, UserError):
        return str(failure), ""
    kind = "out of memory" if isinstance(failure, MemoryError) else type(failure).__name__
    return f"{kind}: {one_line(failure)}", "".join(traceback.format_exception(failure))
