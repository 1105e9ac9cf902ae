"""Time that each method of `few_labels` has, and the function that it returns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
"""The classes of images, uint8 [n, height, width, channels]."""

Clock = Literal["wall", "cpu"]
"""Clock of a budget: `wall`, or `cpu`, CPU seconds over threads, on a machine that others use."""


@dataclass
class Budget:
    """Time for training; it begins when the object is made."""

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
        """Share of the time that is over: 1 or more at its end."""
        return (self._now() - self._begun) / self.seconds

    def at_most(self, seconds: float) -> "Budget":
        """A budget of at most so many seconds that begins now."""
        return replace(self, seconds=min(seconds, self.seconds))

    def _now(self) -> float:
        return time.perf_counter() if self.clock == "wall" else time.process_time() / self.threads
