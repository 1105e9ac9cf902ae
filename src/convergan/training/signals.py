"""Signals that end a training: between two steps while it runs, at once before and after."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SAME_REQUEST_SECONDS = 0.2
"""Time in which the same signal is the same request: `timeout` sends its own to a process, and then to the
group to which the process belongs."""


class _Ended(BaseException):
    """Base of the exceptions by which a signal ends a training."""

    def __init__(self, signal_number: int = signal.SIGINT) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """The exit code of shells for a command that this signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number


class Interrupted(_Ended, Exception):
    """Raised when a run stops at a signal and can be resumed."""


class Terminated(_Ended, KeyboardInterrupt):
    """Raised at SIGTERM or SIGHUP while there is nothing to keep, or at the second signal.

    As with Ctrl-C, this exception ends the current work, and is not mistaken for a faulty image.
    """


_raised: list[int] = []
"""Signals for which `Terminated` has been raised; Python discards exceptions raised in finalizers."""


_arrivals: dict[int, float] = {}
"""Times of the last arrival of signals, by their number."""


@contextmanager
def terminated_by_signals() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM and SIGHUP in the block, so that it can remove unfinished files."""
    _raised.clear()

    def end(number: int, _: FrameType | None) -> None:
        _raised.append(number)
        raise Terminated(number)

    with _handled(end, _end_signals()):
        yield


def end_if_asked() -> None:
    """Raise `Terminated` again, if it has been raised and Python discarded it."""
    if _raised:
        raise Terminated(_raised[0])


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Take the first SIGINT, SIGTERM or SIGHUP in the block as a request to stop between two steps.

    A second signal acts at once. Yields a function that returns True once a stop has been requested. An
    `Interrupted` that leaves the block has the number of the signal.
    """
    end_if_asked()
    received: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if not received:
            received.append(number)
            return
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)
        _arrivals.clear()
        signal.raise_signal(number)

    with _handled(ask, [signal.SIGINT, *_end_signals()]) as previous:
        try:
            yield lambda: bool(received)
        except Interrupted as end:
            end.signal_number = received[0] if received else end.signal_number
            raise


def _end_signals() -> list[int]:
    """Signals that ask a process to end: SIGTERM, and SIGHUP unless it is ignored, as under `nohup`."""
    hang_up: int | None = getattr(signal, "SIGHUP", None)
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hang_up]


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], numbers: list[int]
) -> Iterator[dict[int, Any]]:
    """Install a handler of signals for the block, if on the main thread; yield the previous handlers.

    A signal that comes again in the block within `SAME_REQUEST_SECONDS` is not handled.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        earlier_arrival, _arrivals[number] = _arrivals.get(number), time.monotonic()
        if earlier_arrival is None or _arrivals[number] - earlier_arrival >= SAME_REQUEST_SECONDS:
            handler(number, frame)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # A handler that was not installed from Python is None here, and cannot be restored.
        previous = {n: signal.signal(n, handle) or signal.SIG_DFL for n in numbers}
        for number in numbers:
            _arrivals.pop(number, None)
    try:
        yield previous
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)
