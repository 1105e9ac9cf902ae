"""Cells of a table that takes hours: each is a command, and a file that is written when it is done.

The name of the file contains the cell, hashes of its settings and of the code that it runs. A second call of
a benchmark runs only the missing cells, and a killed one loses a single cell.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convergan.errors import UserError
from convergan.files import make_folder
from convergan.json_files import json_line, read_json, write_json
from harness import BENCHMARKS, ROOT
from harness.rows import GIT_COMMIT

CONVERGAN_CODE = tuple(sorted((ROOT / "src" / "convergan").rglob("*.py")))


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    names: tuple[str, ...]
    """Row, method and draw, or the like. None of them contains a full stop."""
    settings: dict[str, Any]
    """Settings that decide its numbers."""
    code: Iterable[Path]
    """Files on which the result depends."""

    @property
    def stem(self) -> str:
        """The name without the code."""
        return ".".join([*self.names, _hash(json_line(self.settings).encode())])

    @cached_property
    def name(self) -> str:
        """The name, with the code as it is when the name is first read: before the cell is measured."""
        return f"{self.stem}.{_hash(*(path.read_bytes() for path in self.code))}"


class Cells:
    """The cells of a benchmark, in a folder.

    Args:
        folder: where their files are.
        any_code: True if cells that other code measured with the same settings count as well.
    """

    def __init__(self, folder: Path, *, any_code: bool = False) -> None:
        self.folder, self.any_code = folder, any_code

    def load(self, cell: Cell) -> dict[str, Any] | None:
        """The measured values, or None."""
        exact = self.folder / f"{cell.name}.json"
        if exact.exists():
            return read_json(exact)
        if not self.any_code:
            return None
        older = sorted(
            self.folder.glob(f"{cell.stem}.*.json"), key=lambda path: path.stat().st_mtime
        )
        return read_json(older[-1]) if older else None

    def keep(self, cell: Cell, measured: dict[str, Any]) -> None:
        """Write a finished cell, atomically."""
        make_folder(self.folder)
        facts = {"names": cell.names, "settings": cell.settings, "git_commit": GIT_COMMIT}
        write_json(self.folder / f"{cell.name}.json", {**facts, **measured})

    def run(self, cells: Iterable[Cell], measure: Callable[[Cell], dict[str, Any]]) -> int:
        """Measure the missing cells one after the other, and print each.

        Returns:
            The number of cells that failed; the others are done.
        """
        failed = 0
        for cell in cells:
            if self.load(cell) is not None:
                continue
            print(f"{' '.join(cell.names)}: ", end="", flush=True)
            try:
                measured = measure(cell)
            except (subprocess.CalledProcessError, UserError, KeyError) as error:
                failed += 1
                print(f"failed: {error}", flush=True)
                continue
            self.keep(cell, measured)
            summary = json_line({name: measured[name] for name in list(measured)[:4]})
            print(summary, flush=True)
        return failed


def timed(words: Sequence[object], log: Path, *, threads: int) -> dict[str, float]:
    """Run a command in a process of its own, which can import the harness.

    Args:
        words: the words of the command.
        log: file for its output.
        threads: number of threads for numerical libraries.

    Returns:
        `wall_seconds` and `cpu_seconds` of the process, from its start to its end, and `peak_bytes`, the
        most memory that it had.

    Raises:
        subprocess.CalledProcessError: it failed; the message has the last line of its output.
    """
    make_folder(log.parent)
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*map(str, words)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_environment(threads),
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise subprocess.CalledProcessError(process.returncode, f"{log}: {' '.join(last)}")
    return {
        "wall_seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        # Of kilobytes, but on macOS.
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def _environment(threads: int) -> dict[str, str]:
    paths = [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    numbers = {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **numbers, "PYTHONPATH": os.pathsep.join(paths)}


def train(words: Sequence[object], out: Path, *, threads: int) -> dict[str, Any]:
    """Run `convergan train` into a new folder; the folder of a killed call is removed.

    Returns:
        The run's results.json, and the numbers of `timed`.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "convergan.cli", "train", *words, "--out", out]
    usage = timed(
        [*command, "--hardware.threads", threads], out.with_suffix(".log"), threads=threads
    )
    return {**json.loads((out / "results.json").read_text(encoding="utf-8")), **usage}


def add_options(parser: argparse.ArgumentParser, runs: Path) -> None:
    """Add the options of commands that fill tables of cells: data, folders, and which cells count."""
    parser.add_argument("--mnist", type=Path, help="folder with parquet files; else the hub's")
    parser.add_argument("--cifar10", type=Path, help="folder with parquet files, for the folders")
    parser.add_argument("--table", action="store_true", help="print what there is, run nothing")
    parser.add_argument(
        "--any-code", action="store_true", help="what earlier code measured counts as well"
    )
    parser.add_argument("--folders", type=Path, help="where folders of images are written")
    parser.add_argument("--runs", type=Path, default=runs)


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:8]
