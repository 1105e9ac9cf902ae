"""Times of tasks, in this process and in another one."""

import time
from functools import partial

import pytest
from torch.utils.flop_counter import FlopCounterMode

from harness.another_process import in_another_process
from harness.measure import MatrixProduct, Seconds, interleaved_times, seconds_of


def test_the_seconds_that_a_task_tells_are_those_that_count() -> None:
    tasks = {"here": partial(time.sleep, 0.01), "elsewhere": lambda: Seconds(7)}
    start = time.perf_counter()
    times = interleaved_times(tasks, repeats=2, warm_up=0)
    elapsed = time.perf_counter() - start
    assert times["elsewhere"] == [7, 7]
    assert len(times["here"]) == 2 and min(times["here"]) >= 0.01
    assert sum(times["here"]) <= elapsed


def test_a_task_in_another_process_is_timed_there() -> None:
    with in_another_process(partial(partial, time.sleep, 0.01)) as task:
        seconds = task()
        assert isinstance(seconds, Seconds) and seconds >= 0.01
        # The communication with that process does not count.
        start = time.perf_counter()
        assert seconds_of(task) < time.perf_counter() - start


def test_a_task_that_fails_in_another_process_is_not_waited_for() -> None:
    with in_another_process(partial(partial, int, "no number")) as task, pytest.raises(EOFError):
        task()


def test_a_matrix_product_knows_its_operations() -> None:
    product = MatrixProduct()
    with FlopCounterMode(display=False) as counter:
        product()
    assert product.operations == counter.get_total_flops()
