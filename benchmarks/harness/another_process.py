"""Tasks and trainings in processes of their own, which take turns.

In one process a task would allocate from the memory that another one has freed, or would have to get it back
from the system, page by page.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from harness.measure import Enough, Seconds, Task, seconds_of


@contextmanager
def in_another_process(
    make_task: Callable[[], Task], device: torch.device | str = "cpu"
) -> Iterator[Callable[[], Seconds]]:
    """Run a task in a process of its own, which times it: the communication does not count.

    Args:
        make_task: makes the task in that process; it can be pickled.
        device: device for which the task has to wait.
    """
    with called_in_another_process(partial(_timed, make_task, device)) as task:
        yield task


@contextmanager
def called_in_another_process(make_task: Callable[[], Task]) -> Iterator[Callable[[], Any]]:
    """Yield a function that runs a task in a process of its own and returns its result.

    Args:
        make_task: makes the task in that process; it can be pickled.
    """
    with turns_of_another_process(partial(_repeat, make_task)) as next_turn:
        yield next_turn


class Turns:
    """Requests to another process, turn by turn, and its answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wait(self) -> None:
        """Wait until the next turn is asked for.

        Raises:
            Enough: there will be no other turn.
        """
        try:
            self._connection.recv()
        except EOFError:
            raise Enough from None

    def done(self, result: object) -> None:
        """Send the result of a turn."""
        self._connection.send(result)


@contextmanager
def turns_of_another_process(work: Callable[[Turns], object]) -> Iterator[Callable[[], Any]]:
    """Yield a function to ask a process, with as many threads as here, for the result of a turn.

    Args:
        work: runs in that process, waits for each turn and sends its result; it can be pickled.
    """
    context = get_context("spawn")
    own_end, other_end = context.Pipe()
    arguments = other_end, work, torch.get_num_threads()
    # A daemon could not start processes that decode.
    process = context.Process(target=_work_in_turns, args=arguments)
    process.start()
    # Should that process fail, there is no other to wait for.
    other_end.close()

    def next_turn() -> Any:
        own_end.send("next")
        return own_end.recv()

    try:
        yield next_turn
    finally:
        own_end.close()
        process.join()


def _work_in_turns(connection: Connection, work: Callable[[Turns], object], threads: int) -> None:
    torch.set_num_threads(threads)
    with suppress(Enough):
        work(Turns(connection))


def _timed(make_task: Callable[[], Task], device: torch.device | str) -> Task:
    task = make_task()
    return lambda: Seconds(seconds_of(task, device))


def _repeat(make_task: Callable[[], Task], turns: Turns) -> None:
    task = make_task()
    while True:
        turns.wait()
        turns.done(task())
