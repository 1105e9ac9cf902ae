"""A Python process with a limit of seconds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness import ROOT

GRACE_SECONDS = 20.0
"""Time for a process to end when it is told to, with a checkpoint if it trains."""

LOOK_SECONDS = 5.0

TAIL = 3000
"""Number of characters at the end of the output that are kept."""


class Outcome(NamedTuple):
    """Outcome of a process."""

    word: str
    """Word for the outcome: done, failed, or out of time."""
    seconds: float
    output: str
    """The end of the output."""


def run(words: list[str], log: Path, *, seconds: float, look: Callable[[], object]) -> Outcome:
    """Run Python in a process group of its own, for a limited time, with src on its path.

    Args:
        words: the words after `python`.
        log: file for the output.
        seconds: limit after which the process is told to end, and a while later killed with its group.
        look: called every few seconds.
    """
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            while process.poll() is None and (left := start + seconds - time.monotonic()) > 0:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, LOOK_SECONDS))
                look()
            late = process.poll() is None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_SECONDS)
            # What it started may have outlived it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    word = "out of time" if late else "failed" if process.returncode else "done"
    return Outcome(word, time.monotonic() - start, text[-TAIL:])
