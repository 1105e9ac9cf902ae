"""Interleaved timings, and the machine's rates that floors are made of.

A floor is what the arithmetic alone would take: operations over the rate of a large matrix product in the
precision used, or bytes over that of a large copy. The rate is timed in turn with the tasks themselves, so
that whatever else the machine does slows all of them alike.
"""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Task = Callable[[], object]

_SIDE = 1536
_COPIED_BYTES = 256 * 2**20


def interleaved_seconds(
    tasks: Mapping[str, Task], *, repeats: int, device: torch.device | str = "cpu", warm_up: int = 2
) -> dict[str, float]:
    """Median seconds of one call of each task, the tasks taking turns `repeats` times."""
    for task in tasks.values():
        for _ in range(warm_up):
            task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            _wait_for(device)
            start = time.perf_counter()
            task()
            _wait_for(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def _wait_for(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class MatrixProduct:
    """A task: one large matrix product of `operations` floating-point operations."""

    operations = 2 * _SIDE**3

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self._left, self._right = (
            torch.randn(_SIDE, _SIDE, device=device).to(dtype) for _ in range(2)
        )

    def __call__(self) -> None:
        torch.mm(self._left, self._right)


class Copy:
    """A task: one large copy, which reads and writes `bytes` in all."""

    bytes = 2 * _COPIED_BYTES

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._source = torch.zeros(_COPIED_BYTES, dtype=torch.uint8, device=device)
        self._target = torch.zeros_like(self._source)

    def __call__(self) -> None:
        self._target.copy_(self._source)
