"""Tasks and trainings that have a process of their own, and run in it when it is their turn.

What runs there allocates from nothing that others have freed, and they from nothing of its: what one returns
to the system, the next would have to get back from there, page by page.
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
    """A task in a process of its own, which times it there: the way there and back counts for nobody.

    Args:
        make_task: called there, once; can be pickled.
        device: what the task has to wait for.
    """
    with called_in_another_process(partial(_timed, make_task, device)) as task:
        yield task


@contextmanager
def called_in_another_process(make_task: Callable[[], Task]) -> Iterator[Callable[[], Any]]:
    """A task in a process of its own, as a function that has it run there and gives its result.

    Args:
        make_task: called there, once; can be pickled.
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
            Enough: none will be.
        """
        try:
            self._connection.recv()
        except EOFError:
            raise Enough from None

    def done(self, result: object) -> None:
        """The turn is over."""
        self._connection.send(result)


@contextmanager
def turns_of_another_process(work: Callable[[Turns], object]) -> Iterator[Callable[[], Any]]:
    """Asks a process of its own, on as many threads as there are here, for a turn; gives its result.

    Args:
        work: called there, once; waits for each turn and says when it is done; can be pickled.
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
