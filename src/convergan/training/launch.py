"""Lightning Fabric as a recipe's hardware settings describe it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from convergan.errors import UserError, file_problem
from convergan.recipes.settings import HardwareSettings
from convergan.training.signals import Interrupted

_PROCESSES = 8
"""On a CPU of however few cores: enough to try what several processes do."""


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
    here = {
        "cpu": max(cores, _PROCESSES),
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    gpu = next((kind for kind in ("cuda", "mps") if here[kind]), None)
    if settings.accelerator == "auto":
        kind = gpu or "cpu"
    elif settings.accelerator == "gpu":
        kind = gpu or "gpu"
    else:
        kind = settings.accelerator
    most = here.get(kind, 0)
    if most == 0:
        found = ", ".join(["auto", *(name for name, count in here.items() if count)])
        raise UserError(
            f"hardware.accelerator: expected one of what torch finds here, {found}, got"
            f" {settings.accelerator}"
        )
    if settings.devices > most:
        what = f"for {cores} cores" if kind == "cpu" else f"of {kind} here"
        raise UserError(f"hardware.devices: expected at most {most} {what}, got {settings.devices}")


@contextmanager
def launched(settings: HardwareSettings) -> Iterator[Fabric]:
    """What `launch` gives, until the block ends or raises what all processes raise: a mistake, a signal.

    Then they part: their connections have threads, and a process that exits beside a running one aborts.
    """
    joined_before = torch.distributed.is_initialized()
    fabric = launch(settings)
    try:
        yield fabric
    except (UserError, Interrupted):
        _part(joined_before)
        raise
    _part(joined_before)


def _part(joined_before: bool) -> None:
    if torch.distributed.is_initialized() and not joined_before:
        torch.distributed.destroy_process_group()


def on_rank_zero(fabric: Fabric, task: Callable[[], object]) -> None:
    """Does a task on rank 0 alone; a mistake of the user's that it finds is raised on every rank.

    So is what the system has against a file. Otherwise the others would wait for a rank that is gone.
    """
    message = None
    if fabric.is_global_zero:
        try:
            task()
        except UserError as error:
            message = str(error)
        except OSError as error:
            message = file_problem(error)
    message = fabric.broadcast(message)
    if message is not None:
        raise UserError(message)
