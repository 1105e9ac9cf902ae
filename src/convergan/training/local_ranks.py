"""Processes that train together on this machine: rank 0, and the others, which it starts, watches and
ends.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore

from convergan.errors import UserError

TIMEOUT = timedelta(days=1)
"""Longest time that ranks wait for one another, during which rank 0 may decode a large data set. A rank that
ends is noticed at once."""

_CHILD = "CONVERGAN_LOCAL_RANK"
"""Name of an environment variable that marks processes started by `local_ranks`."""

_HOST = "127.0.0.1"
_GRACE_SECONDS = 5.0
"""Time for processes to end by themselves, after which they are killed."""


class LocalRanks:
    """The processes of one command, each of which runs the command from its beginning.

    A script that trains twice uses the same processes for both trainings, as under torchrun.

    Args:
        rank: rank of this process.
        count: number of processes.
        store: store by which the processes find one another.
        children: on rank 0, the other processes in the order of their ranks.
    """

    def __init__(
        self, rank: int, count: int, store: TCPStore, children: list[subprocess.Popen[bytes]]
    ) -> None:
        self.rank, self.count = rank, count
        self._store, self._children = store, children
        self._meetings = 0

    def meeting(self) -> PrefixStore:
        """A new store in which the ranks find one another. All ranks must call this equally often."""
        self._meetings += 1
        return PrefixStore(f"meeting {self._meetings}", self._store)

    def loss(self, seconds: float = 0.0) -> str | None:
        """Description of a process that has failed or fails within so many seconds; None if there is none."""
        deadline = time.monotonic() + seconds
        while True:
            for rank, child in enumerate(self._children, start=1):
                code = child.poll()
                if code:
                    ending = (
                        f"ended by {_signal_name(-code)}" if code < 0 else f"failed, code {code}"
                    )
                    return f"rank {rank} {ending}"
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End this process if another process fails during the block and the block does not end soon after.

        Ranks that compute together on CPUs lose the connection at once; on GPUs they would wait forever.
        """
        left = threading.Event()

        def watch() -> None:
            while not left.wait(0.5):
                loss = self.loss()
                if loss is not None and not left.wait(_GRACE_SECONDS):
                    print(f"convergan: {loss}, and the others cannot continue", file=sys.stderr)
                    self.kill()
                    os._exit(1)

        if self._children:
            threading.Thread(target=watch, name="watch over ranks", daemon=True).start()
        try:
            yield
        finally:
            left.set()

    def end(self) -> None:
        """Wait for the children to end, and kill those that do not."""
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill the children that still run; during a collective operation they respond to no other signal."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_processes: LocalRanks | None = None


def local_ranks(count: int) -> LocalRanks:
    """The processes of this command, started at the first call.

    Raises:
        UserError: the command has another number of processes already, a process has failed, or the command
            cannot be run again.
    """
    global _processes
    if _processes is None:
        _processes = _joined() if is_child() else _started(count)
    if _processes.count != count:
        raise UserError(
            f"hardware.devices: expected {_processes.count}, the number of processes that this command has"
            f" begun with, got {count}"
        )
    if (loss := _processes.loss()) is not None:
        raise UserError(f"hardware.devices: expected {count} processes that run, but {loss}")
    return _processes


def is_child() -> bool:
    """True if this process was started by `local_ranks` in another process."""
    return _CHILD in os.environ


def _started(count: int) -> LocalRanks:
    script = getattr(sys.modules["__main__"], "__file__", None)
    if hasattr(sys, "ps1") or script == "<stdin>" or (script is None and "-c" not in sys.orig_argv):
        raise UserError(
            "hardware.devices: expected 1 in an interactive Python or one that reads its script from the"
            f" standard input, which cannot be run again, got {count}"
        )
    # Port 0: a free one, which then belongs to this process.
    store = TCPStore(_HOST, 0, count, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
    # The same command, with Python's own options.
    command = [sys.executable, *sys.orig_argv[1:]]
    children: list[subprocess.Popen[bytes]] = []
    processes = LocalRanks(0, count, store, children)
    atexit.register(processes.end)
    for rank in range(1, count):
        environment = {
            _CHILD: str(rank),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": _HOST,
            "MASTER_PORT": str(store.port),
        }
        # A child's standard input is empty, and closes when this process ends, however it ends.
        children.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment})
        )
    return processes


def _joined() -> LocalRanks:
    threading.Thread(target=_end_with_parent, name="watch over rank 0", daemon=True).start()
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    port = int(os.environ["MASTER_PORT"])
    store = TCPStore(_HOST, port, count, is_master=False, wait_for_workers=False, timeout=TIMEOUT)
    return LocalRanks(rank, count, store, [])


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(1)
