"""Processes that do jobs: what each is given, and how its end is reported."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convergan.experiments.reproduce import gpus_here
from convergan.experiments.work import Answer, Job
from convergan.experiments.workers import Ended, Processes

START = Callable[..., Processes]


def job(tmp_path: Path, number: int = 0, threads: int | None = None) -> Job:
    recipe = {"hardware": {"threads": threads}}
    return Job(
        kind="train", name=f"job-{number}", recipe=recipe, folder="", log=str(tmp_path / "log")
    )


@pytest.fixture
def environments() -> list[dict[str, str]]:
    return []


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, environments: list[dict[str, str]]) -> Iterator[START]:
    """Make processes that run a line of Python in place of a job."""
    pools: list[Processes] = []
    line = ["pass"]

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, words: list[str], *, env: dict[str, str], **settings: Any) -> None:
            environments.append(env)
            super().__init__([sys.executable, "-S", "-c", line[0]], env=env, **settings)

    monkeypatch.setattr("convergan.experiments.workers.subprocess.Popen", Popen)

    def begun(count: int, code: str, **settings: Any) -> Processes:
        line[0] = code
        pools.append(Processes(count, **settings))
        return pools[-1]

    yield begun
    for processes in pools:
        processes.close()


WAIT = "import sys; sys.stdin.read()"


def test_each_process_has_a_gpu_and_threads_of_its_own(
    start: START, environments: list[dict[str, str]], tmp_path: Path
) -> None:
    processes = start(4, WAIT, gpus=["0", "GPU-7"])
    for number in range(3):
        processes.begin(job(tmp_path, number, threads=2))
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments] == [
        "0",
        "GPU-7",
        "0",
    ]
    assert {environment["OMP_NUM_THREADS"] for environment in environments} == {"2"}
    assert processes.free() == 1


def test_the_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
    assert gpus_here() == ["5", "3"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here() == []


@pytest.mark.parametrize(
    ("code", "answer", "death"),
    [
        ("""print('{"error": null, "value": 3.5}')""", Answer(value=3.5), ""),
        (
            """print('{"ending": "failed", "error": "labels: expected"}')""",
            Answer(ending="failed", error="labels: expected"),
            "",
        ),
        ("import os; os.kill(os.getpid(), 9)", None, "killed by SIGKILL"),
        ("import os; os.abort()", None, "killed by SIGABRT"),
        ("import sys; sys.exit(3)", None, "ended with code 3"),
        # Half an answer does not count.
        ("""print('{"error":')""", None, "ended with code 0"),
        # The signal comes before the process could take it as a request.
        ("import os; os.kill(os.getpid(), 15)", Answer(ending="stopped", error="stopped"), ""),
    ],
)
def test_how_a_process_ended_is_told(
    start: START, tmp_path: Path, code: str, answer: Answer | None, death: str
) -> None:
    processes, task = start(1, code), job(tmp_path)
    processes.begin(task)
    assert processes.free() == 0
    assert processes.ended(30) == [Ended(job=task, answer=answer, death=death)]
    assert processes.free() == 1


def test_waiting_ends_in_time_and_closing_leaves_nothing_running(
    start: START, tmp_path: Path
) -> None:
    processes = start(1, WAIT)
    processes.begin(job(tmp_path))
    assert processes.ended(0.1) == []
    ((_, process, _),) = processes._running.values()
    processes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_process_is_asked_to_stop_once(start: START, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; told = [];"
        " signal.signal(signal.SIGTERM, lambda *_: told.append(1));"
        " open(r'{}', 'w').close();"
        " [time.sleep(0.05) for _ in range(12)];"
        """ print('{{"error": "%d signals"}}' % len(told))"""
    ).format(tmp_path / "ready")
    processes = start(1, code)
    processes.begin(job(tmp_path))
    while not (tmp_path / "ready").exists():
        assert processes.ended(0.01) == []
    for _ in range(3):
        processes.stop()
    (ended,) = processes.ended(30)
    assert ended.answer is not None and ended.answer.error == "1 signals"
