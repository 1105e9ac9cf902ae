"""Signals that end a training: between two steps while it runs, at once before and after."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class _Ended(BaseException):
    """An end that a signal asked for."""

    def __init__(self, signal_number: int = signal.SIGINT) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What shells give a command that this signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number


class Interrupted(_Ended, Exception):
    """The run was asked to stop and can be resumed."""


class Terminated(_Ended, KeyboardInterrupt):
    """SIGTERM or SIGHUP came while there was nothing to keep, or came twice.

    As with Ctrl-C, what is under way is left by an exception that nobody takes for a fault of an image.
    """


_raised: list[int] = []
"""Signals for which `Terminated` has been raised. Python discards what is raised while it calls back from the
end of an object's life, and goes on."""


@contextmanager
def terminated_by_signals() -> Iterator[None]:
    """Has SIGTERM and SIGHUP raise `Terminated` in the block, so that it can put away what it was making."""
    _raised.clear()

    def end(number: int, _: FrameType | None) -> None:
        _raised.append(number)
        raise Terminated(number)

    with _handled(end, _asking_to_end()):
        yield


def end_if_asked() -> None:
    """Raises `Terminated` again, if it has been raised and nothing came of it."""
    if _raised:
        raise Terminated(_raised[0])


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Has the first SIGINT, SIGTERM or SIGHUP ask for a stop between two steps; a second is obeyed at once.

    Yields what tells whether a stop has been asked for. `Interrupted` that leaves the block carries the
    signal's number.
    """
    end_if_asked()
    received: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        received.append(number)
        for each, before in previous.items():
            signal.signal(each, before)

    with _handled(ask, [signal.SIGINT, *_asking_to_end()]) as previous:
        try:
            yield lambda: bool(received)
        except Interrupted as end:
            end.signal_number = received[0] if received else end.signal_number
            raise


def _asking_to_end() -> list[int]:
    """SIGTERM, and SIGHUP where there is such a signal and `nohup` has not had it ignored."""
    hang_up: int | None = getattr(signal, "SIGHUP", None)
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hang_up]


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], numbers: list[int]
) -> Iterator[dict[int, Any]]:
    """Handles the signals so in the block; yields who handled them before. Only a main thread can."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # None: installed by something that is not Python, and cannot be put back.
        previous = {n: signal.signal(n, handler) or signal.SIG_DFL for n in numbers}
    try:
        yield previous
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
