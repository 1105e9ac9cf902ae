"""Damaged files, tried one after the other in a process that may hang, crash or run out of memory."""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from convergan.errors import UserError, printable
from fuzz.mutations import Damage, damaged

VERDICTS = ("refused", "same", "accepted", "traceback", "hang", "silently wrong")
"""One line; success and the same result; success and another one, of a file that has no checksum; another
exception, a crash or a message of several lines; no end; success and another result in spite of a
checksum."""

GOOD = frozenset(VERDICTS[:3])

_MOST_MEMORY_BYTES = 4 * 2**30
_LONGEST_LINE = 1_500


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it comes to be, and how it is used."""

    name: str
    make: Callable[[Path], None]
    """Writes the file, and what belongs to it, into a new folder."""
    file: str
    """Pattern of the file that is damaged, relative to the folder."""
    use: Callable[[Path], Any]
    """Reads the file as the program does; returns the result, to be compared."""
    damages: Sequence[Damage]
    exact: bool = False
    """True where damage must be noticed or change nothing."""


@dataclass(frozen=True)
class Trial:
    """Result of one damaged file."""

    kind: str
    number: int
    damage: str
    verdict: str
    detail: str
    """The line, or the traceback."""


@dataclass
class Trials:
    """Verdicts on the trials of one kind."""

    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    bad: list[Trial] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        self.counts[trial.verdict] += 1
        if trial.verdict not in GOOD:
            self.bad.append(trial)


def try_kind(kind: Kind, numbers: Sequence[int], *, seed: int, seconds: float = 60) -> Trials:
    """Damages a file so many times, each in a way that depends on the seed and the number alone.

    Args:
        kind: of file.
        numbers: of the trials.
        seed: of all damage.
        seconds: after which a trial counts as hanging.
    """
    trials = Trials(kind.name)
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        # Where copies of it will be: paths are part of some files.
        copy = _copy_of(template)
        copy.mkdir()
        kind.make(copy)
        copy.rename(template)
        pending = list(numbers)
        while pending:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_try_all, args=(kind, template, pending, seed, sender))
            process.start()
            sender.close()
            try:
                for trial in _received(receiver, kind, pending, seconds):
                    trials.add(trial)
                    pending = pending[1:]
            finally:
                process.kill()
                process.join()
                receiver.close()
    return trials


def _received(pipe: Connection, kind: Kind, pending: list[int], seconds: float) -> Iterator[Trial]:
    """The trials that a process tells of, and, if it ends or hangs, the one that it was at."""
    number, damage = pending[0], "none"
    try:
        verdict, detail = pipe.recv()
        if verdict != "success":
            raise AssertionError(f"{kind.name}: expected whole files to be read, got {detail}")
        for number in pending:
            if not pipe.poll(seconds):
                yield Trial(kind.name, number, "before", "hang", f"no end in {seconds:g} s")
                return
            damage = pipe.recv()
            if not pipe.poll(seconds):
                yield Trial(kind.name, number, damage, "hang", f"no end in {seconds:g} s")
                return
            yield pipe.recv()
    except EOFError:
        yield Trial(kind.name, number, damage, "traceback", "the process ended by a signal")


def _try_all(
    kind: Kind, template: Path, numbers: Sequence[int], seed: int, pipe: Connection
) -> None:
    with open(os.devnull, "wb") as sink:
        for stream in (1, 2):
            os.dup2(sink.fileno(), stream)
    _limit_memory()
    reference = _use_copy(kind, template, None)
    pipe.send(reference)
    for number in numbers:
        generator = random.Random(f"{seed}/{kind.name}/{number}")
        (file,) = (path.relative_to(template) for path in template.glob(kind.file))
        damage, content = damaged((template / file).read_bytes(), kind.damages, generator)
        pipe.send(damage)
        verdict, detail = _use_copy(kind, template, (file, content))
        if verdict == "success":
            verdict = "accepted"
            if detail == reference[1]:
                verdict = "same"
            elif kind.exact:
                verdict = "silently wrong"
        pipe.send(Trial(kind.name, number, damage, verdict, detail))
    pipe.close()
    os._exit(0)


def _use_copy(kind: Kind, template: Path, change: tuple[Path, bytes] | None) -> tuple[str, str]:
    """The verdict on a copy of the template with this file's content in place of its own, and the detail."""
    folder = _copy_of(template)
    # The copy of a process that was ended.
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    try:
        if change is not None:
            (folder / change[0]).write_bytes(change[1])
        return "success", repr(kind.use(folder))
    except UserError as error:
        line = str(error)
        if "\n" in line or not printable(line).isprintable() or len(line) > _LONGEST_LINE:
            return "traceback", f"no single line: {line[:3000]!r}"
        return "refused", line
    except BaseException:
        return "traceback", traceback.format_exc()
    finally:
        shutil.rmtree(folder)


def _copy_of(template: Path) -> Path:
    """The copy's folder, always the same one: paths are part of some results."""
    return template.with_name("copy")


def _limit_memory() -> None:
    """Limit the memory: a damaged file may ask for any size, and others use the machine."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + _MOST_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
