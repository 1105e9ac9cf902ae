"""The measurements of `make bench`, one after the other: commands that take minutes.

    python benchmarks/bench.py [--mnist DIR] [--plan]

It first prints the commands and about how long they will take, one by one and together: times on two cores.
Without --mnist those that need images of MNIST are left out. A command that fails does not stop the next
one; the exit code is then 1.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from harness import BENCHMARKS, ROOT
from harness.command_line import command_parser


class Measurement(NamedTuple):
    """A command, without `python` and the folder of its file."""

    command: str
    minutes: float
    """Duration on two cores, from the medians and numbers of turns in benchmarks/results."""
    data: str = ""
    """Option of the command for the parquet files of MNIST, which it needs."""

    def words(self, mnist: Path | None) -> list[str]:
        """The words of the command after `python`."""
        file, *options = shlex.split(self.command)
        path = str((BENCHMARKS / file).relative_to(ROOT))
        return [path, *options, *([self.data, str(mnist)] if self.data else [])]


MEASUREMENTS = (
    Measurement("minibatch_discrimination.py", 7),
    Measurement("virtual_batch_norm.py", 2),
    Measurement("step.py --recipe cifar10", 2),
    Measurement("step.py --recipe mnist", 1, "--data"),
    Measurement("epoch.py --recipe mnist", 5, "--data"),
    Measurement("predict.py", 5, "--data"),
    Measurement("data_size.py", 3, "--data"),
    Measurement("study_load.py", 6),
)


def plan(mnist: Path | None) -> str:
    """The commands with their minutes, and the total."""
    lines = [f"About {_total(possible(mnist))} on two cores:"]
    lines += [
        f"{measurement.minutes:5g} min  {shlex.join(['python', *measurement.words(mnist)])}"
        for measurement in possible(mnist)
    ]
    if mnist is None:
        left_out = [measurement for measurement in MEASUREMENTS if measurement.data]
        names = ", ".join(measurement.command for measurement in left_out)
        lines.append(
            f"With parquet files of MNIST (make bench MNIST=DIR) {_total(left_out)} more: {names}"
        )
    return "\n".join(lines)


def possible(mnist: Path | None) -> list[Measurement]:
    """The measurements for which there is data."""
    return [entry for entry in MEASUREMENTS if mnist is not None or not entry.data]


def run(mnist: Path | None) -> list[str]:
    """Run the commands, and print how long each took.

    Returns:
        The commands that failed.
    """
    failed = []
    for measurement in possible(mnist):
        words = measurement.words(mnist)
        command = shlex.join(["python", *words])
        print(f"\n$ {command}", flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, *words], cwd=ROOT).returncode:
            failed.append(command)
        print(f"{(time.monotonic() - start) / 60:.1f} min", flush=True)
    return failed


def _total(measurements: list[Measurement]) -> str:
    return f"{sum(measurement.minutes for measurement in measurements):g} minutes"


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--mnist", type=Path, metavar="DIR", help="folder with parquet files")
    parser.add_argument("--plan", action="store_true", help="print the commands, run nothing")
    arguments = parser.parse_args()
    mnist = arguments.mnist
    if mnist is not None and not mnist.is_dir():
        parser.error(f"--mnist: expected a folder of parquet files, got {mnist}")
    # Commands run in the folder of the project.
    mnist = None if mnist is None else mnist.resolve()
    results = os.environ.get("BENCHMARK_RESULTS", str(BENCHMARKS / "results"))
    print(f"{plan(mnist)}\nResults go to {results}.", flush=True)
    if arguments.plan:
        return
    failed = run(mnist)
    print()
    subprocess.run([sys.executable, BENCHMARKS / "table.py"], cwd=ROOT, check=True)
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
