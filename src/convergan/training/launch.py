"""Lightning Fabric as a recipe's hardware settings describe it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from convergan.errors import UserError, one_line
from convergan.recipes.settings import HardwareSettings
from convergan.training.signals import Interrupted


def launch(settings: HardwareSettings) -> Fabric:
    """One process, or several, launched here or already by torchrun.

    Raises:
        UserError: this machine does not have the accelerator, or not so many devices.
    """
    devices, nodes = settings.devices, 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
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
        reason = " ".join(str(error).split())
        raise UserError(
            f"hardware: expected what this machine has, got accelerator {settings.accelerator}, "
            f"devices {devices}: {reason}"
        ) from None
    fabric.launch()
    return fabric


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
            where = f"{error.filename}: " if error.filename is not None else ""
            message = f"{where}{error.strerror or one_line(error)}"
    message = fabric.broadcast(message)
    if message is not None:
        raise UserError(message)
