"""Interleaved timings, and the machine's rate that floors are made of.

A floor is what the arithmetic alone would take: operations over the rate of a large matrix product in the
precision used. The rate is timed in turn with the tasks themselves, so that whatever else the machine does
slows all of them alike.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
            settle(device)
            start = time.perf_counter()
            task()
            wait_for(device)
            times[name].append(time.perf_counter() - start)
    return times


@contextmanager
def in_another_process(make_task: Callable[[], Task]) -> Iterator[Task]:
    """A task that runs in a process of its own, on as many threads as there are here.

    So it allocates from nothing that other tasks have freed, and they from nothing of its: what one returns
    to the system, the next would have to get back from there, page by page.

    Args:
        make_task: called there, once; can be pickled. The task waits for its device.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = theirs, make_task, torch.get_num_threads()
    process = context.Process(target=_run_when_asked, args=arguments, daemon=True)
    process.start()
    # Should that process fail, there is no other to wait for.
    theirs.close()

    def run() -> None:
        ours.send("run")
        ours.recv()

    try:
        yield run
    finally:
        ours.close()
        process.join()


def _run_when_asked(asked: Connection, make_task: Callable[[], Task], threads: int) -> None:
    torch.set_num_threads(threads)
    task = make_task()
    # Until the other end is closed.
    with suppress(EOFError):
        while asked.recv():
            task()
            asked.send("done")


def medians(times: Times) -> dict[str, float]:
    """Median seconds of each task."""
    return {name: median(values) for name, values in times.items()}


def quartiles_of_ratio(left: list[float], right: list[float]) -> list[float]:
    """The quartiles of left / right over the turns: between them lies the middle half."""
    ratios = [one / other for one, other in zip(left, right, strict=True)]
    if len(ratios) == 1:
        return ratios * 3
    return [round(each, 4) for each in quantiles(ratios, n=4, method="inclusive")]


def settle(device: torch.device | str) -> None:
    """Until nothing of the task before is left.

    Threads that have no more work spin for a while, on cores that the next task's process needs.
    """
    wait_for(device)
    time.sleep(0.01)


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
        self._left, self._right, self._product = (
            torch.randn(_SIDE, _SIDE, device=device).to(dtype) for _ in range(3)
        )

    def __call__(self) -> None:
        torch.mm(self._left, self._right, out=self._product)
