"""Workers that perform jobs: an interface, and plain processes on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from convergan.experiments.work import Answer, Job
from convergan.files import make_folder
from convergan.json_files import json_line

STOP_SECONDS = 120.0
"""Time that workers have to write their checkpoints after they were asked to stop."""

_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job whose worker has ended."""

    job: Job
    answer: Answer | None
    """Answer of the worker; None where it was killed."""

    death: str = ""
    """Reason for the worker's death, in words."""


class Workers(Protocol):
    """Processes, here or elsewhere, that do jobs."""

    def slots(self, threads: int) -> int:
        """Number of jobs, each of `threads` threads, that run at the same time."""

    def free(self) -> int:
        """Number of further jobs that can be begun now."""

    def begin(self, job: Job) -> None:
        """Start a job on a worker of its own."""

    def ended(self, seconds: float) -> list[Ended]:
        """Wait until a job has ended, at most `seconds`; return all that have."""

    def stop(self) -> None:
        """Ask all jobs to stop; `ended` returns them as they do."""

    def close(self) -> None:
        """End all running jobs, and release what the workers use."""


class Processes:
    """Plain processes on this machine, with a GPU each where there are some.

    Args:
        count: number of processes at the same time.
        gpus: names of the GPUs to assign to them in turn; none: they share all there are.
    """

    def __init__(self, count: int, gpus: Sequence[str] = ()) -> None:
        self._count, self._gpus = count, list(gpus)
        self._running: dict[str, tuple[Job, subprocess.Popen[bytes], str | None]] = {}
        self._stopped: set[str] = set()

    def slots(self, threads: int) -> int:
        """See `Workers`."""
        return self._count

    def free(self) -> int:
        """See `Workers`."""
        return self._count - len(self._running)

    def begin(self, job: Job) -> None:
        """See `Workers`."""
        used_gpus = [gpu for _, _, gpu in self._running.values()]
        gpu = min(self._gpus, key=used_gpus.count) if self._gpus else None
        environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        log = Path(job.log)
        make_folder(log.parent)
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "convergan.experiments.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                # Ctrl-C is for the table, which asks its workers to stop.
                start_new_session=True,
            )
        self._running[job.name] = job, process, gpu
        with suppress(BrokenPipeError):
            assert process.stdin is not None
            process.stdin.write(json_line(job).encode() + b"\n")
            process.stdin.flush()

    def ended(self, seconds: float) -> list[Ended]:
        """See `Workers`."""
        deadline = time.monotonic() + seconds
        while True:
            ended = [
                _ended(job, process)
                for job, process, _ in self._running.values()
                if process.poll() is not None
            ]
            if ended or not self._running or time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        for end in ended:
            del self._running[end.job.name]
        return ended

    def stop(self) -> None:
        """See `Workers`."""
        for name, (_, process, _) in self._running.items():
            # A second signal would be obeyed at once, without a checkpoint.
            if name not in self._stopped:
                self._stopped.add(name)
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """See `Workers`."""
        for _, process, _ in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()


def _ended(job: Job, process: subprocess.Popen[bytes]) -> Ended:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    text = process.stdout.read()
    process.stdout.close()
    code = process.returncode
    if code == 0:
        with suppress(ValueError, TypeError):
            return Ended(job=job, answer=Answer(**json.loads(text)))
    if code == -signal.SIGTERM:
        # The signal came before Python could handle it.
        return Ended(job=job, answer=Answer(ending="stopped", error="stopped"))
    death = f"killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
    return Ended(job=job, answer=None, death=death)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
