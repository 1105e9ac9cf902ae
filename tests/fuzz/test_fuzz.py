"""A few of the trials of `tests/fuzz/run.py`, which makes thousands, on every kind of file that is read."""

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from convergan.errors import UserError
from fuzz.kinds import KINDS
from fuzz.mutations import DAMAGES, damaged
from fuzz.run import SLOW, main
from fuzz.trials import VERDICTS, Kind, try_kind

_TRIES, _TRIES_OF_SLOW = 20, 3
_SEED = 20261


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_a_damaged_file_is_refused_in_one_line_or_understood(kind: Kind) -> None:
    numbers = range(_TRIES_OF_SLOW if kind.name in SLOW else _TRIES)
    trials = try_kind(kind, numbers, seed=_SEED)
    assert sum(trials.counts.values()) == len(numbers)
    assert not trials.bad, "\n\n".join(f"{t.number} ({t.damage}): {t.detail}" for t in trials.bad)


def _write(folder: Path) -> None:
    (folder / "a").write_bytes(bytes(range(100)))


def _kind(use: object, *, exact: bool = False) -> Kind:
    return Kind("some", _write, "a", use, DAMAGES, exact)  # type: ignore[arg-type]


def _says_lines(folder: Path) -> int:
    if (folder / "a").read_bytes() != bytes(range(100)):
        raise UserError("one\ntwo")
    return 0


def _ends(folder: Path) -> None:
    if (folder / "a").read_bytes() != bytes(range(100)):
        os.kill(os.getpid(), signal.SIGKILL)


def _hangs(folder: Path) -> None:
    if (folder / "a").read_bytes() != bytes(range(100)):
        time.sleep(60)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (_kind(lambda folder: (folder / "a").read_bytes()), "accepted"),
        (_kind(lambda folder: (folder / "a").read_bytes(), exact=True), "silently wrong"),
        (_kind(lambda folder: (folder / "a").exists(), exact=True), "same"),
        (_kind(_says_lines), "traceback"),
        (_kind(_ends), "traceback"),
        (_kind(_hangs), "hang"),
    ],
)
def test_each_verdict_is_found(kind: Kind, verdict: str) -> None:
    """The trials themselves can fail."""
    trials = try_kind(kind, range(2), seed=0, seconds=0.3 if verdict == "hang" else 60)
    assert trials.counts == Counter({verdict: 2})


def test_whole_files_must_be_read() -> None:
    with pytest.raises(AssertionError, match="some: expected whole files to be read, got"):
        try_kind(_kind(lambda folder: 1 / 0), range(1), seed=0)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_changes_the_content_and_is_drawn_from_the_seed(damage: object) -> None:
    content = bytes(range(256)) * 10
    first, second = (
        [damaged(content, [damage], random.Random(seed))[1] for seed in range(5)]  # type: ignore[list-item]
        for _ in range(2)
    )
    assert first == second and len(set(first)) > 1 and content not in first


def test_the_command_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run.py", "--tries", "60", "--seed", "3", "--kinds", "score JSON", ".npy of images"]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["tried", *" ".join(VERDICTS).split()]
    assert len(rows) == 2 and last.split()[0] == "all" and int(last.split()[1]) >= 4
