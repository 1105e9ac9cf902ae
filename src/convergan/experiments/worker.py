"""A process that performs one job: it reads it from the standard input, and answers on the standard output.

The standard input stays open as long as whoever started the process lives: when it closes, the job is asked
to stop, so that a training whose table has gone writes its checkpoint and ends.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

from convergan.experiments.work import Job, perform
from convergan.json_files import json_line


def main() -> None:
    """Perform the job in the first line of the standard input."""
    job = Job(**_with_tuples(json.loads(sys.stdin.readline())))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # The output of libraries, from C too, must not mix with the answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_stop_when_alone, daemon=True).start()
    answer = perform(job)
    answers.write(json_line(answer) + "\n")
    answers.flush()


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def _stop_when_alone() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
