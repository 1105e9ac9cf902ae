"""Independent streams of random numbers, and their states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.errors import UserError


def derived_seed(*parts: int) -> int:
    """A 63-bit seed that differs, almost certainly, if any of `parts` differs."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


class RandomStream:
    """A stream of random numbers for one purpose, which is swapped into torch's default generators while it
    is used.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._device = device
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._devices):
            torch.manual_seed(seed)
            self._states = self._current()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Draw from this stream in the block, and leave other streams as they are."""
        with torch.random.fork_rng(devices=self._devices):
            self._restore(self._states)
            yield
            self._states = self._current()

    def state_dict(self) -> dict[str, Any]:
        """The states of the generators, which are the same on all ranks."""
        # Former versions had the states of each rank.
        return {"ranks": [[state] for state in self._states]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`.

        Raises:
            UserError: the state is from a version in which each rank had its own random numbers.
        """
        if any(len(rank_states) > 1 for rank_states in state["ranks"]):
            raise UserError(
                "expected random numbers that all processes share, got those of an older version, in which"
                " each process had its own; finish the run with that version, or train again"
            )
        self._states = [rank_states[0] for rank_states in state["ranks"]]

    def _current(self) -> list[Tensor]:
        return [
            torch.get_rng_state(),
            *(torch.cuda.get_rng_state(device) for device in self._devices),
        ]

    def _restore(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self._devices, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)
