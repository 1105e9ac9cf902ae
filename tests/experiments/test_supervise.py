"""Cells of a table are retried, fail or are stopped, in their order, each once."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from convergan.experiments.display import Display
from convergan.experiments.plan import Plan
from convergan.experiments.store import Store
from convergan.experiments.supervise import CallProgress, Supervisor
from convergan.experiments.watch import CellDurations
from convergan.experiments.work import Job
from experiments.scripted import (
    ADVANCED,
    BUSY,
    KILLED,
    OUT_OF_MEMORY,
    STOPPED,
    Scripted,
    write_results,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out", tmp_path / "kept")


def supervised(
    plan: Plan, store: Store, workers: Scripted, *, deadline: float | None = None
) -> tuple[CallProgress, str]:
    """Run what is missing; return the progress and what was printed."""
    text = io.StringIO()
    cells = list(plan.missing(store).cells.values())
    with Display(Console(file=text, width=80), len(cells)) as display:
        supervisor = Supervisor(store, workers, display, CellDurations(), deadline=deadline)
        return supervisor.run(cells), text.getvalue()


def test_a_second_call_runs_only_what_is_missing(plan: Callable[..., Plan], store: Store) -> None:
    first = Scripted()
    supervised(plan(draws=2), store, first)
    assert len(first.begun) == 2
    second = Scripted()
    supervised(plan(labels=[20, 50], draws=2, members=2), store, second)
    names = [job.name for job in second.begun]
    assert len(names) == len(set(names))
    assert not {job.name for job in first.begun} & set(names)


def test_workers_are_kept_busy_and_no_more_than_there_are(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted(at_once=3)
    progress, _ = supervised(plan(labels=[20, 50], draws=4), store, workers)
    assert workers.most_at_once == 3
    assert len(progress.done) == 8


def test_a_cell_whose_worker_is_killed_is_begun_again(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted({"tiny-20-seed0": [KILLED, KILLED]})
    progress, text = supervised(plan(draws=2), store, workers)
    assert progress.failed == {} and len(progress.done) == 2
    assert len(workers.begun) == 4
    assert text.count("tiny, 20 labels, seed 0: killed by SIGKILL; restarted") == 2


def test_a_cell_that_is_killed_every_time_fails_in_the_end(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted({"tiny-20-seed0": [KILLED] * 9})
    progress, _ = supervised(plan(draws=2), store, workers)
    (error,) = progress.failed.values()
    assert error == "killed by SIGKILL, 3 times in a row"
    assert len(progress.done) == 1


def test_a_cell_that_comes_further_each_time_is_begun_again_as_often_as_it_takes(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted({"tiny-20-seed0": [ADVANCED] * 5 + [KILLED]})
    progress, _ = supervised(plan(), store, workers)
    assert progress.failed == {} and len(workers.begun) == 7
    other_workers = Scripted({"tiny-50-seed0": [ADVANCED] * 2 + [KILLED] * 9})
    progress, _ = supervised(plan(labels=[50]), store, other_workers)
    assert list(progress.failed.values()) == ["killed by SIGKILL, 3 times in a row"]
    assert len(other_workers.begun) == 4


@pytest.mark.parametrize("ending", [STOPPED, OUT_OF_MEMORY])
def test_a_worker_that_somebody_else_ends_or_that_has_no_memory_is_begun_again(
    plan: Callable[..., Plan], store: Store, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("convergan.experiments.supervise._LATER_SECONDS", 0)
    monkeypatch.setattr("convergan.experiments.supervise._WATCH_SECONDS", 0.01)
    workers = Scripted({"tiny-20-seed0": [ending]})
    progress, text = supervised(plan(), store, workers)
    assert progress.failed == {} and len(progress.done) == 1 and len(workers.begun) == 2
    assert "restarted from its checkpoint" in text


def test_a_cell_that_another_process_trains_is_left_to_it(
    plan: Callable[..., Plan], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.experiments.supervise._LATER_SECONDS", 0.05)
    monkeypatch.setattr("convergan.experiments.supervise._WATCH_SECONDS", 0.01)
    workers = Scripted({"tiny-20-seed0": [BUSY] * 4})

    def other_process(job: Job) -> None:
        if len([attempt for attempt in workers.begun if attempt.name == job.name]) == 4:
            write_results(job)

    workers.on_begin = other_process
    tiny_plan = plan(draws=2, members=2)
    progress, text = supervised(tiny_plan, store, workers)
    assert progress.failed == {}
    # The cell and its ensemble are done; the others did not wait for it.
    assert len(progress.done) == len(tiny_plan.cells())
    assert [job.name.partition("-seed")[2][:1] for job in workers.begun[:2]] == ["0", "1"]
    assert sum(job.name.startswith("tiny-20-seed0") for job in workers.begun) == 4
    assert text.count("left to another process: busy here") == 1


def test_a_cell_that_fails_is_not_begun_again_and_what_needs_it_fails_too(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted({"tiny-20-draw0-seed1": ["labels: expected fewer"]})
    progress, text = supervised(plan(draws=2, members=2), store, workers)
    failed = {name.rpartition("-")[0]: error for name, error in progress.failed.items()}
    assert failed == {
        "tiny-20-draw0-seed1": "labels: expected fewer",
        "tiny-20-draw0-of2": "tiny, 20 labels, draw 0, seed 1 failed",
    }
    # Everything else is done: two single models, the other draw's member and ensemble.
    assert len(progress.done) == 4
    assert "failed: labels: expected fewer" in text


def test_an_ensemble_waits_for_its_members(plan: Callable[..., Plan], store: Store) -> None:
    workers = Scripted(at_once=5)
    supervised(plan(draws=1, members=3), store, workers)
    assert [job.kind for job in workers.begun] == ["train", "train", "train", "average"]
    assert len(workers.begun[-1].members) == 3


def test_a_worker_that_leaves_no_results_has_failed(
    plan: Callable[..., Plan], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.scripted.write_results", lambda job: None)
    progress, _ = supervised(plan(), store, Scripted())
    assert list(progress.failed.values()) == ["its worker left no results.json"]


def test_when_the_budget_is_spent_the_workers_are_asked_to_stop(
    plan: Callable[..., Plan], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("convergan.experiments.supervise.time.monotonic", lambda: now[0])
    workers = Scripted(at_once=1)

    def time_passes(job: object) -> None:
        now[0] += 10

    workers.on_begin = time_passes
    ended = workers.ended
    # The second cell runs on until it is asked to stop.
    monkeypatch.setattr(
        workers, "ended", lambda seconds: [] if now[0] == 20 and not stops else ended(seconds)
    )
    stops: list[bool] = []
    stop = workers.stop

    def record_stop() -> None:
        stops.append(True)
        stop()

    monkeypatch.setattr(workers, "stop", record_stop)
    progress, text = supervised(plan(draws=3), store, workers, deadline=15)
    assert stops == [True]
    assert len(workers.begun) == 2 and len(progress.done) == 1 and progress.failed == {}
    assert "the budget is spent; the same command continues" in text


def test_ctrl_c_stops_the_workers_and_keeps_what_is_done(
    plan: Callable[..., Plan], store: Store
) -> None:
    workers = Scripted(at_once=1)

    def interrupt(job: object) -> None:
        if len(workers.begun) == 2:
            raise KeyboardInterrupt

    workers.on_begin = interrupt
    progress, _ = supervised(plan(draws=3), store, workers)
    assert progress.interrupted
    assert len(progress.done) == 1 and progress.failed == {}
    # What was running is not lost: it is missing, and the same command continues.
    assert len(plan(draws=3).missing(store).targets) == 2
