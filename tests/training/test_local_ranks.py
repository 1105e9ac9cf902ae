"""The processes of one command: they meet, train in turn, and none outlives another."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.recipes.settings import HardwareSettings
from convergan.training import local_ranks
from convergan.training.launch import launched

RANKS = """
import os, sys
from convergan.distributed import broadcast_object, rank, ranks
from convergan.recipes.settings import HardwareSettings
from convergan.training.launch import launched, on_every_rank

hardware = HardwareSettings(accelerator="cpu", devices=2)

def meet():
    with launched(hardware) as device:
        on_every_rank(lambda: print(f"rank {rank()} of {ranks()} pid {os.getpid()}", flush=True))
        yield broadcast_object(f"from {rank()}, {sys.argv[1:]}")
"""

FOR_EVER = """
for told in meet():
    while True:
        on_every_rank(lambda: None)
"""

TWICE = """
from dataclasses import replace
from convergan import PRESETS, MLPSettings, UserError, train
from rich.console import Console

for told in meet():
    print(f"before: {told}", flush=True)
recipe = PRESETS["digits"]
recipe = replace(
    recipe, epochs=1, batch_size=50, hardware=hardware,
    networks=MLPSettings(hidden=(8,), generator_hidden=(8,), latent_size=5),
)
quiet = Console(quiet=True)
try:
    train(recipe, sys.argv[1], console=quiet)
except UserError as error:
    print(f"caught: {error}", flush=True)
results = train(recipe, sys.argv[2], console=quiet)
print(f"errors: {results.test_errors}", flush=True)
for told in meet():
    print(f"after: {told}", flush=True)
assert ranks() == 1
hardware = HardwareSettings(accelerator="cpu", devices=3)
try:
    next(meet())
except UserError as error:
    print(error, flush=True)
"""


def begun(code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RANKS + code, *words], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def has_ended(pid: int) -> bool:
    """True if a process is gone, or is a zombie that its new parent has yet to reap."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_a_script_that_trains_twice_has_both_on_the_same_processes(tmp_path: Path) -> None:
    """The script also catches an error of all ranks in between."""
    full, new = tmp_path / "full", tmp_path / "new"
    full.mkdir()
    (full / "file.txt").write_text("mine")
    process = begun(TWICE, str(full), str(new))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    # Lines of two processes may run into one another.
    assert out.count(" of 2 pid ") == 4 and len(set(re.findall(r"pid (\d+)", out))) == 2
    # Each rank has its words, and what rank 0 told.
    for meeting in ("before", "after"):
        assert out.count(f"{meeting}: from 0, {[str(full), str(new)]}") == 2
    assert out.count("caught: ") == 2 and out.count("errors: ") == 2
    assert len(set(re.findall(r"errors: (\d+)", out))) == 1
    assert (full / "file.txt").read_text() == "mine"
    mistake = "expected 2, the number of processes that this command has begun with, got 3"
    assert out.count(f"hardware.devices: {mistake}") == 2
    assert err == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
@pytest.mark.parametrize(
    ("rank", "number", "exit_code", "message"),
    [
        (0, signal.SIGKILL, -signal.SIGKILL, ""),
        pytest.param(0, signal.SIGTERM, -signal.SIGTERM, "", marks=pytest.mark.slow),
        (1, signal.SIGKILL, 1, "expected 2 processes to the end, but rank 1 ended by SIGKILL"),
    ],
)
def test_no_rank_outlives_another(rank: int, number: int, exit_code: int, message: str) -> None:
    process = begun(FOR_EVER)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    pids = {int(r): int(pid) for r, pid in re.findall(r"rank (.) of 2 pid (\d+)", "".join(lines))}
    assert pids[0] == process.pid
    os.kill(pids[rank], number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == exit_code
    assert message in err
    deadline = time.monotonic() + 60
    while not has_ended(pids[1]):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lost_rank_is_noticed_where_nothing_else_would_tell() -> None:
    """A rank is lost as on GPUs, where a collective operation waits for ever."""
    wait = """
import time
from convergan.training import local_ranks
local_ranks._GRACE_SECONDS = 0.2
for told in meet():
    if rank() == 1:
        os._exit(3)
    time.sleep(60)
"""
    process = begun(wait)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err == "convergan: rank 1 failed, code 3, and the others cannot continue\n"


def test_an_interactive_python_is_told_that_it_has_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As every interactive Python has it.
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr(local_ranks, "_processes", None)
    message = r"hardware\.devices: expected 1 in an interactive Python"
    with (
        pytest.raises(UserError, match=message),
        launched(HardwareSettings(accelerator="cpu", devices=2)),
    ):
        pass


@pytest.mark.parametrize("words", [pytest.param(["-"], marks=pytest.mark.slow), []])
def test_a_script_from_the_standard_input_is_refused(words: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, *words], input=RANKS + "next(meet())", capture_output=True, text=True,
        timeout=120, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "reads its script from the standard input, which cannot be run again" in ended.stderr
