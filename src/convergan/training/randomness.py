"""Streams of random numbers that do not disturb each other, and their states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.errors import UserError


def derived_seed(*parts: int) -> int:
    """A 63-bit seed that differs, in all likelihood, wherever one of `parts` does."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


class RandomStream:
    """torch's default generators as they stand for one purpose, swapped in while it runs."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self._device = device
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._devices):
            torch.manual_seed(seed)
            self._states = self._current()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Draws made in the block come from this stream and move it on; others are untouched."""
        with torch.random.fork_rng(devices=self._devices):
            self._restore(self._states)
            yield
            self._states = self._current()

    def state_dict(self) -> dict[str, Any]:
        """The states, which all ranks have alike."""
        # Former versions had those of each rank.
        return {"ranks": [[state] for state in self._states]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave.

        Raises:
            UserError: it is of a version in which ranks drew on their own.
        """
        if any(len(of_ranks) > 1 for of_ranks in state["ranks"]):
            raise UserError(
                "expected random numbers that all processes have alike, got those of an older version, whose"
                " processes did not train as one; finish the run with that, or train anew"
            )
        self._states = [of_ranks[0] for of_ranks in state["ranks"]]

    def _current(self) -> list[Tensor]:
        return [
            torch.get_rng_state(),
            *(torch.cuda.get_rng_state(device) for device in self._devices),
        ]

    def _restore(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self._devices, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)
