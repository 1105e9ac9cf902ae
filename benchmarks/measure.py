"""Interleaved timings, and the machine's rate that floors are made of.

A floor is what the arithmetic alone would take: operations over the rate of a large matrix product in the
precision used. The rate is timed in turn with the tasks themselves, so that whatever else the machine does
slows all of them alike.
"""

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

import torch

Task = Callable[[], object]

_SIDE = 1536


Times = dict[str, list[float]]
"""Seconds of each task, turn by turn."""


def interleaved_times(
    tasks: Mapping[str, Task], *, repeats: int, device: torch.device | str = "cpu", warm_up: int = 2
) -> Times:
    """Seconds of every call of each task, the tasks taking turns `repeats` times."""
    for task in tasks.values():
        for _ in range(warm_up):
            task()
    times: Times = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            wait_for(device)
            start = time.perf_counter()
            task()
            wait_for(device)
            times[name].append(time.perf_counter() - start)
    return times


def medians(times: Times) -> dict[str, float]:
    """Median seconds of each task."""
    return {name: median(values) for name, values in times.items()}


def quartiles_of_ratio(left: list[float], right: list[float]) -> list[float]:
    """The quartiles of left / right over the turns: between them lies the middle half."""
    ratios = [one / other for one, other in zip(left, right, strict=True)]
    if len(ratios) == 1:
        return ratios * 3
    return [round(each, 4) for each in quantiles(ratios, n=4, method="inclusive")]


def wait_for(device: torch.device | str) -> None:
    """Until a device has done what it was told; a CPU always has."""
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
