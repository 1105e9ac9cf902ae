"""Interleaved timings, and the rate of the machine for floors.

A floor is the time of the arithmetic alone: operations over the rate of a large matrix product in the
precision used. The product is timed in turn with the tasks: other load on the machine slows them alike.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

import torch

Task = Callable[[], object]

Times = dict[str, list[float]]
"""Seconds of each task, turn by turn."""

_SIDES = {"cpu": 1536, "cuda": 8192}
"""Side of a large matrix by kind of device: on a GPU so large that the launch takes no time to speak of."""


class Seconds(float):
    """Seconds that a task measured itself; they count instead of the time that its caller waited."""


class Enough(Exception):
    """Signal that no more turns are wanted; an observer ends a training with it."""


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
            settle(device)
            times[name].append(seconds_of(task, device))
    return times


def seconds_of(task: Task, device: torch.device | str = "cpu") -> float:
    """Seconds of one call: those that the task returns, or else those until the device is done."""
    start = time.perf_counter()
    result = task()
    wait_for(device)
    return result if isinstance(result, Seconds) else time.perf_counter() - start


def medians(times: Times) -> dict[str, float]:
    """Median seconds of each task."""
    return {name: median(values) for name, values in times.items()}


def quartiles_of_ratio(left: list[float], right: list[float]) -> list[float]:
    """The quartiles of left / right over the turns."""
    ratios = [numerator / denominator for numerator, denominator in zip(left, right, strict=True)]
    if len(ratios) == 1:
        return ratios * 3
    return [round(quartile, 4) for quartile in quantiles(ratios, n=4, method="inclusive")]


def settle(device: torch.device | str) -> None:
    """Wait until nothing of the previous task is left.

    Threads that have no more work spin for a while, on cores that the next task's process needs.
    """
    wait_for(device)
    time.sleep(0.01)


def wait_for(device: torch.device | str) -> None:
    """Wait until a device has finished its work; a CPU always has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def memory_mb(field: str) -> float:
    """A field of /proc/self/status about this process's memory, in 10^6 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) * 1024 / 1e6


class MatrixProduct:
    """A task: one large matrix product in `dtype`, of `operations` floating-point operations."""

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        side = _SIDES[torch.device(device).type]
        self.dtype, self.operations = dtype, 2 * side**3
        self._left, self._right, self._product = (
            torch.randn(side, side, device=device).to(dtype) for _ in range(3)
        )

    def __call__(self) -> None:
        torch.mm(self._left, self._right, out=self._product)
