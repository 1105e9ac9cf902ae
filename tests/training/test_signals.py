"""Signals: a run that can be resumed, the exit code that belongs to the signal, nothing half made."""

import os
import pty
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from convergan import cli
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.metrics import read_metrics
from convergan.training import preparation, run
from convergan.training.recorder import Recorder
from convergan.training.signals import SAME_REQUEST_SECONDS, Terminated, terminated_by_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Unheeded(BaseException):
    """A signal that found its handler gone."""


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """Handlers that raise, in place of those that would end the tests."""

    def tell(number: int, _: FrameType | None) -> None:
        raise Unheeded(number)

    handlers = {number: signal.signal(number, tell) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def command(trained_run: Path, tmp_path: Path) -> list[str]:
    return [
        "train",
        "--from",
        str(trained_run / "recipe.yaml"),
        "--out",
        str(tmp_path / "new" / "run"),
    ]


def send_at(
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[int],
    step: int,
    pause: float = 1.5 * SAME_REQUEST_SECONDS,
) -> None:
    """Send signals to this very process, one after the other, when so many steps are done."""
    original = Recorder.steps_done

    def count(self: Recorder, done: int, total: int) -> None:
        original(self, done, total)
        if done == step:
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(pause)

    monkeypatch.setattr(Recorder, "steps_done", count)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_step_under_way_is_kept(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    send_at(monkeypatch, [number], step=17)
    assert cli.main(command) == 128 + number
    assert "--resume continues" in capsys.readouterr().err
    newest = load_newest_checkpoint(tmp_path / "new" / "run" / "checkpoints")
    assert newest is not None and newest.state["step"] == 17
    with pytest.raises(Unheeded):
        os.kill(os.getpid(), number)
        time.sleep(1)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_sent_twice_at_once_is_one_request(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """`timeout` sends its signal to the process, and then to the process's group."""
    send_at(monkeypatch, [number, number], step=17, pause=0.0)
    assert cli.main(command) == 128 + number
    newest = load_newest_checkpoint(tmp_path / "new" / "run" / "checkpoints")
    assert newest is not None and newest.state["step"] == 17


def test_the_end_of_work_is_not_ended_by_the_same_request() -> None:
    cleared = []
    with pytest.raises(Terminated), terminated_by_signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleared.append(True)
    assert cleared == [True]


@pytest.mark.parametrize(
    ("first", "number"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGHUP),
        (signal.SIGINT, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGHUP),
    ],
)
def test_a_second_one_is_obeyed_at_once(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, number: int
) -> None:
    send_at(monkeypatch, [first, number], step=17)
    assert cli.main(command) == 128 + number
    newest = load_newest_checkpoint(tmp_path / "new" / "run" / "checkpoints")
    assert newest is not None and newest.state["step"] == 0
    assert not (tmp_path / "new" / "run" / ".lock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_images_are_read_nothing_is_left(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    put_away = []

    def read(*_: object, **__: object) -> None:
        try:
            # The decoder takes any exception for that of a damaged image.
            try:
                os.kill(os.getpid(), number)
                time.sleep(5)
            except Exception:
                pytest.fail("taken for a damaged image")
        finally:
            put_away.append(True)

    monkeypatch.setattr(preparation, "open_data_set", read)
    assert cli.main(command) == 128 + number
    assert capsys.readouterr().err == "convergan: stopped\n"
    assert put_away == [True]
    assert list(tmp_path.iterdir()) == []


def test_nohup_is_respected(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    send_at(monkeypatch, [signal.SIGHUP], step=17)
    assert cli.main(command) == 0
    assert (tmp_path / "new" / "run" / "results.json").exists()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_terminal_that_is_closed_leaves_a_checkpoint(command: list[str], tmp_path: Path) -> None:
    """The terminal is gone, for output too, when the hang-up comes."""
    out = tmp_path / "new" / "run"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(
            sys.executable,
            [sys.executable, "-m", "convergan.cli", *command, "--epochs", "5000"],
        )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not read_metrics(out / "metrics.jsonl"):
        time.sleep(0.02)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    newest = load_newest_checkpoint(out / "checkpoints")
    assert newest is not None and newest.state["step"] > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_python_discards_still_ends_the_run(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python discards what is raised in a callback, such as one at the end of an object's life."""

    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    original = preparation.prepare

    def prepare(*arguments: Any, **options: Any) -> preparation.Preparation:
        Dying()
        return original(*arguments, **options)

    monkeypatch.setattr(run, "prepare", prepare)
    assert cli.main(command) == 143
    assert not (tmp_path / "new").exists()
