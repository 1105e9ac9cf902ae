"""Time that each method of `few_labels` has, and the function that it returns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
"""The classes of images, uint8 [n, height, width, channels]."""

Clock = Literal["wall", "cpu"]
"""`wall`, or `cpu`: CPU seconds over threads, on a machine that others use as well."""


@dataclass
class Budget:
    """Seconds to train in, from when it is made."""

    seconds: float
    clock: Clock = "wall"
    threads: int = 1
    seed: int = 0
    bf16: bool = False
    """True if networks compute in bf16, where that is quicker."""
    _begun: float = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self._begun = self._now()

    @property
    def share_used(self) -> float:
        """0 at the beginning, 1 or more when there is nothing left."""
        return (self._now() - self._begun) / self.seconds

    def at_most(self, seconds: float) -> "Budget":
        """Another, of fewer seconds, from now on."""
        return replace(self, seconds=min(seconds, self.seconds))

    def _now(self) -> float:
        return time.perf_counter() if self.clock == "wall" else time.process_time() / self.threads
