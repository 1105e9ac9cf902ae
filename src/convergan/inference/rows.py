"""A network's outputs, one row an image, without a second copy of them all."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Rows:
    """Outputs of a network, row by row: room for all from the first on, so that nothing is copied later."""

    def __init__(self, count: int) -> None:
        self.count, self.used = count, 0
        self.room: list[Tensor] = []

    def append(self, outputs: list[Tensor]) -> None:
        """Takes the rows of one batch."""
        if not self.room:
            self.room = [output.new_empty(self.count, *output.shape[1:]) for output in outputs]
        upto = self.used + len(outputs[0])
        for room, output in zip(self.room, outputs, strict=True):
            room[self.used : upto] = output
        self.used = upto

    def filled(self) -> list[Tensor]:
        """All rows; empty if there was no batch."""
        return [room[: self.used] for room in self.room]


def rows_of_all(
    places: np.ndarray, outputs: list[Tensor], skipped: dict[int, str], device: torch.device
) -> tuple[np.ndarray, list[Tensor], dict[int, str]]:
    """What all processes have found, in the images' order; one process at a time tells the others.

    Args:
        places: of this process's images among all.
        outputs: theirs.
        skipped: why images have none, by place.
        device: this process's.
    """
    told: list[Any] = [None] * torch.distributed.get_world_size()
    shapes = [output.shape[1:] for output in outputs]
    torch.distributed.all_gather_object(told, (places, shapes, skipped))
    everywhere = np.concatenate([of_rank for of_rank, *_ in told])
    order = np.argsort(everywhere)
    row_of = np.empty_like(order)
    row_of[order] = np.arange(len(order))
    rows = np.split(row_of, np.cumsum([len(of_rank) for of_rank, *_ in told])[:-1])
    shapes = next((some for _, some, _ in told if some), [])
    # NCCL carries nothing between CPUs.
    carrier = device if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    together = [torch.empty(len(order), *shape) for shape in shapes]
    for number, whole in enumerate(together):
        for rank, of_rank in enumerate(rows):
            if 0 in (len(of_rank), *shapes[number]):
                continue
            part = (
                outputs[number].to(carrier)
                if rank == torch.distributed.get_rank()
                else torch.empty(len(of_rank), *shapes[number], device=carrier)
            )
            torch.distributed.broadcast(part, src=rank)
            whole[torch.from_numpy(of_rank)] = part.cpu()
    reasons = {place: reason for *_, some in told for place, reason in some.items()}
    return everywhere[order], together, reasons
