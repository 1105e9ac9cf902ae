"""`convergan reproduce` from its arguments to its files."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from convergan.cli import _parse, main
from convergan.errors import install_command
from convergan.experiments.plan import Plan
from convergan.experiments.reproduce import Resources
from convergan.experiments.store import Store
from convergan.experiments.work import Answer, Job
from convergan.experiments.workers import Ended, Processes
from convergan.recipes.files import recipe_to_yaml
from convergan.recipes.settings import Recipe
from convergan.reproduce_commands import Reproduce
from convergan.runs.checkpoints import has_checkpoint
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import append_metrics
from experiments.scripted import Scripted


class Timed(Scripted):
    """Says that a training takes an hour, or that it cannot be timed."""

    untimed = ""
    impossible = 0
    timed_at_once = 0

    def _ended(self, job: Job) -> Ended:
        if job.kind == "time":
            self.timed_at_once = self.most_at_once
        if job.kind == "time" and (
            job.recipe["name"] == self.untimed or job.recipe["labels"] == self.impossible
        ):
            return Ended(job=job, answer=Answer(ending="failed", error="labels: expected fewer"))
        if job.kind == "time":
            return Ended(job=job, answer=Answer(value=3600.0))
        return super()._ended(job)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Timed:
    """The workers that compute the cells of the command."""
    timed = Timed()

    def opened(resources: Resources) -> Timed:
        timed.at_once = resources.workers
        return timed

    monkeypatch.setattr(Resources, "open", opened)
    return timed


@pytest.fixture
def words(tiny_file: Path, tmp_path: Path) -> list[str]:
    return ["reproduce", "table1", "--recipes", str(tiny_file), "--out", str(tmp_path / "out")]


def test_a_table_is_computed_and_written(
    words: list[str], workers: Timed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--labels", "20", "50", "--seeds", "2", "--members", "2", "--workers", "2"]
    assert main([*words, *args]) == 0
    first_output = capsys.readouterr().out
    assert "0 of 12 cells are done, 12 are to be computed" in first_output
    assert "tiny, 20 labels, seed 0: 118 errors of 500 (23.60 %)" in first_output
    out = tmp_path / "out"
    assert "**118.5 ± 0.7**" in (out / "table1.md").read_text()
    assert (out / "table1.svg").read_text().startswith("<?xml")
    assert len(list((out / "results" / "table1").iterdir())) == 12
    # And again: nothing is left to be done, and the table is the same.
    count = len(workers.begun)
    assert main([*words, *args]) == 0
    second_output = capsys.readouterr().out
    assert "12 of 12 cells are done, 0 are to be computed" in second_output
    assert len(workers.begun) == count
    assert (
        second_output.partition("tiny, which is not the paper's setting\n")[1:]
        == first_output.rpartition("tiny, which is not the paper's setting\n")[1:]
    )


def test_a_failed_cell_ends_the_command_with_an_error_after_the_table(
    words: list[str], workers: Timed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers._endings["tiny-20-seed1"] = ["tiny: expected a loss that is finite, got none"]
    assert main([*words, "--labels", "20", "--seeds", "2", "--members", "1"]) == 1
    captured = capsys.readouterr()
    assert "1 of 2, 1 failed" in captured.out
    assert "draw 1 failed: tiny: expected a loss that is finite" in captured.out
    assert (
        "convergan: reproduce: expected every cell to be computed, got 1 that failed"
        in captured.err
    )
    assert "1 of 2, 1 failed" in (tmp_path / "out" / "table1.md").read_text()


def test_a_budget_takes_what_fits_and_says_what_it_leaves_out(
    words: list[str], workers: Timed, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--labels", "20", "--seeds", "5", "--members", "1", "--workers", "2", "--budget", "2"]
    assert main([*words, *args]) == 0
    output = capsys.readouterr().out
    assert "does not fit in 2 h: tiny, 20 labels: 1 of 5 (about 1 h of work)" in output
    assert "4 cells, 2 at a time, will take about 2 h" in output
    assert "4 of 5" in output
    assert sum(job.kind == "train" for job in workers.begun) == 4
    # As many timings run side by side as cells are trained.
    assert sum(job.kind == "time" for job in workers.begun) == workers.timed_at_once == 2


def test_scores_count_in_a_budget(
    words: list[str], workers: Timed, capsys: pytest.CaptureFixture[str]
) -> None:
    words[1] = "table3"
    assert main([*words, "--seeds", "2", "--workers", "1", "--budget", "3"]) == 0
    output = capsys.readouterr().out
    # An hour each: the real images, and a training and its score.
    assert "does not fit in 3 h: tiny: 1 of 2 (about 2 h of work)" in output
    assert "3 cells, 1 at a time, will take about 3 h" in output
    timed = [job for job in workers.begun if job.kind == "time"]
    assert sorted((job.scoring is not None, job.real) for job in timed) == [
        (False, False), (True, False), (True, True),
    ]  # fmt: skip


def test_a_recipe_that_cannot_be_timed_takes_nothing_with_it(
    words: list[str],
    tiny: Recipe,
    workers: Timed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "two.yaml").write_text(recipe_to_yaml(replace(tiny, name="two")))
    words[words.index("--out") : words.index("--out")] = [str(tmp_path / "two.yaml")]
    workers.untimed = "two"
    args = ["--labels", "20", "--seeds", "2", "--members", "1", "--workers", "1", "--budget", "2"]
    assert main([*words, *args]) == 0
    output = capsys.readouterr().out
    assert "two: could not be timed: labels: expected fewer" in output
    assert (
        "4 cells, 1 at a time, will take about 2 h, and 2 of them an unknown time:"
        " two, 20 labels, seed 0, two, 20 labels, seed 1"
    ) in output
    assert output.count("2 of 2") == 2
    assert [job.kind for job in workers.begun].count("time") == 2
    # They take no time from those that fit.
    trained = [job.recipe["name"] for job in workers.begun if job.kind == "train"]
    assert trained == ["tiny", "tiny", "two", "two"]


def test_a_recipe_is_timed_with_another_number_of_labels_where_one_is_impossible(
    words: list[str], workers: Timed, capsys: pytest.CaptureFixture[str]
) -> None:
    workers.impossible = 5000
    args = ["--labels", "5000", "20", "--seeds", "1", "--members", "1", "--workers", "2"]
    assert main([*words, *args, "--budget", "0.5"]) == 0
    output = capsys.readouterr().out
    assert "could not be timed" not in output
    assert "does not fit in 30 min: tiny, 20 labels: 1 of 1 (about 1 h of work)" in output
    # As many workers as before time the other number.
    timed = [job for job in workers.begun if job.kind == "time"]
    assert [job.recipe["labels"] for job in timed] == [5000, 5000, 20, 20]
    assert len({job.name for job in timed}) == 4


def test_finished_cells_time_the_others(
    plan: Callable[..., Plan], words: list[str], workers: Timed, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    args = ["--labels", "20", "--members", "1", "--workers", "1"]
    assert main([*words, *args, "--seeds", "1"]) == 0
    (cell,) = plan().cells()
    folder = Store(tmp_path / "out", tmp_path / "out").cell_folder(cell)
    append_metrics(folder / "metrics.jsonl", EpochLine(epoch=6, seconds_per_epoch=1200.0))
    capsys.readouterr()
    assert main([*words, *args, "--seeds", "3", "--budget", "3"]) == 0
    output = capsys.readouterr().out
    # Six epochs of twenty minutes each.
    assert "does not fit in 3 h: tiny, 20 labels: 1 of 3 (about 2 h of work)" in output
    assert not any(job.kind == "time" for job in workers.begun)


def test_a_recipe_whose_speed_is_known_is_not_timed(
    plan: Callable[..., Plan], words: list[str], workers: Timed, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cell = plan().cells()[0]
    folder = Store(tmp_path / "out", tmp_path / "out").cell_folder(cell)
    folder.mkdir(parents=True)
    append_metrics(folder / "metrics.jsonl", EpochLine(epoch=1, seconds_per_epoch=1200.0))
    args = ["--labels", "20", "--seeds", "2", "--members", "1", "--workers", "1", "--dry-run"]
    assert main([*words, *args]) == 0
    # Five epochs and six of twenty minutes.
    assert "2 cells, 1 at a time, will take about 3 h 40 min" in capsys.readouterr().out
    assert workers.begun == []


def test_a_damaged_result_is_a_hole_in_the_table(
    words: list[str], workers: Timed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--labels", "20", "--seeds", "2", "--members", "1"]
    assert main([*words, *args]) == 0
    for path in (tmp_path / "out").glob("**/tiny-20-seed0*/results.json"):
        path.write_text("nothing")
    capsys.readouterr()
    assert main([*words, *args]) == 1
    output = capsys.readouterr().out
    assert "1 of 2 cells are done, 0 are to be computed" in output
    assert "draw 0 failed: " in output and "without that file the cell is computed again" in output
    assert "1 of 2, 1 failed" in output


def test_a_study_that_is_none_is_told_before_the_work(
    tiny_file: Path, workers: Timed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_text("{}")
    words = ["reproduce", "table3", "--recipes", str(tiny_file), "--out", str(tmp_path / "out")]
    assert main([*words, "--study", str(tmp_path / "report.json")]) == 1
    assert "report.json: expected the JSON of a study's report" in capsys.readouterr().err
    assert workers.begun == []


def test_a_dry_run_computes_nothing(
    words: list[str], workers: Timed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--labels", "20", "--seeds", "3", "--members", "1", "--workers", "1", "--dry-run"]
    assert main([*words, *args]) == 0
    output = capsys.readouterr().out
    assert "3 cells, 1 at a time, will take about 3 h" in output
    assert "nothing was computed (--dry-run)" in output
    assert [job.kind for job in workers.begun] == ["time"]
    assert not (tmp_path / "out" / "cells").exists()


@pytest.fixture
def signals_as_in_a_terminal() -> Iterator[None]:
    """The default handlers of signals; in the background, or under nohup, a process ignores some."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    former_handlers = {number: signal.signal(number, handlers[number]) for number in handlers}
    yield
    for number, handler in former_handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_workers_and_says_how_to_go_on(
    words: list[str], workers: Timed, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    stop = workers.stop

    def stopped() -> None:
        # `timeout` sends its signal twice.
        if number != signal.SIGINT:
            signal.raise_signal(number)
        stop()
        stops.append(True)

    stops: list[bool] = []
    workers.stop = stopped  # type: ignore[method-assign]
    workers.on_begin = lambda job: signal.raise_signal(number)
    handler = signal.getsignal(number)
    assert main([*words, "--labels", "20", "--seeds", "1", "--members", "1"]) == 128 + number
    assert stops == [True] and signal.getsignal(number) is handler
    captured = capsys.readouterr()
    assert "stopped; the same command continues" in captured.err
    assert "0 of 1" in captured.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["table4"], "TABLE: "),
        (["table1", "--cluster", "auto", "--workers", "2"], "--workers: expected None with"),
        (["table1", "--study", "report.json"], "study: expected none for table1"),
        (
            ["table1", "--labels", "0"],
            "labels: expected several values, each 1 to 1,000,000,000, got [0]",
        ),
        (["table1", "--budget", "0"], "budget: expected above 0"),
        (["table3", "--labels", "20"], "labels: expected none for table3"),
        (["table1", "--recipes", "nothing"], "recipe: expected a Recipe or one of"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *args]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message.lower() in line.lower()


def test_a_cluster_that_is_not_there_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*words, "--labels", "20", "--seeds", "1", "--cluster", "auto"]) == 1
    line = capsys.readouterr().err
    assert (
        f"cluster: expected the extra [cluster], {install_command('cluster')}, got no ray" in line
    )


def test_the_documented_commands_are_understood() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    commands = re.findall(r"convergan (reproduce [^\n#`]+)", page)
    assert len(commands) >= 7
    for command in commands:
        assert isinstance(_parse(shlex.split(command)), Reproduce), command


def test_cells_have_all_cores_among_them(
    words: list[str], workers: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.experiments.reproduce.cores_here", lambda: 8)
    args = ["--labels", "20", "--seeds", "1", "--members", "1"]
    for number, (count, threads) in enumerate([("2", 4), ("3", 2), ("16", 1)]):
        out = ["--out", f"{words[-1]}-{number}"]
        assert main([*words, *args, *out, "--workers", count]) == 0
        assert workers.begun[-1].threads == threads


@pytest.mark.slow
def test_a_real_table_with_an_ensemble_and_a_recipe_that_fails(
    plan: Callable[..., Plan], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digits has no 5,000 labelled images: such cells fail, the others are computed by real processes."""
    args = ["--labels", "20", "5000", "--seeds", "1", "--members", "2", "--workers", "2"]
    assert main([*words, *args]) == 1
    output = capsys.readouterr().out
    assert "tiny, 5000 labels, draw 0 failed: labels: expected" in output
    ensemble = json.loads(
        next((tmp_path / "out" / "cells").glob("*-of2-*/results.json")).read_text()
    )
    assert [member["seed"] for member in ensemble["members"]] == [0, 1]
    folder = next((tmp_path / "out" / "cells").glob("*-of2-*"))
    members = [RunFolder(folder / "members" / str(seed)).read_results() for seed in (0, 1)]
    assert [results.test_errors for results in members if results] == [
        member["test_errors"] for member in ensemble["members"]
    ]
    assert ensemble["test_errors"] <= max(member["test_errors"] for member in ensemble["members"])


@pytest.mark.slow
def test_a_table_that_timeout_ends_is_printed_and_its_workers_leave_checkpoints(
    plan: Callable[..., Plan], tiny: Recipe, tiny_file: Path, words: list[str], tmp_path: Path
) -> None:
    tiny_file.write_text(recipe_to_yaml(replace(tiny, epochs=50_000)), encoding="utf-8")
    (cell,) = plan().cells()
    run = RunFolder(Store(tmp_path / "out", tmp_path / "out").cell_folder(cell))
    args = ["--labels", "20", "--seeds", "1", "--members", "1", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "convergan", *words, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not run.metrics.exists():
            assert process.poll() is None
            time.sleep(0.05)
        # As `timeout` does.
        process.send_signal(signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "0 of 1" in output and "wrote " in output
    assert errors.splitlines()[-1] == "convergan: stopped; the same command continues"
    assert has_checkpoint(run.checkpoints)


@pytest.mark.slow
def test_a_worker_whose_table_is_gone_writes_its_checkpoint_and_ends(
    tiny: Recipe, tmp_path: Path
) -> None:
    from convergan.experiments.cells import with_draw
    from convergan.experiments.work import job_of

    long = replace(tiny, epochs=2000)
    cell = with_draw(long, labels=20, draw=0)
    store = Store(tmp_path / "out", tmp_path / "kept")
    workers = Processes(1)
    workers.begin(job_of(cell, store.cell_folder(cell), store.log(cell)))
    run = RunFolder(store.cell_folder(cell))
    while not run.metrics.exists():
        assert workers.ended(0.05) == []
    (_, process, _) = workers._running[cell.name]
    assert process.stdin is not None
    # The input ends in this way when the table's process dies.
    process.stdin.close()
    (ended,) = workers.ended(60)
    assert ended.answer is not None and ended.answer.ending == "stopped"
    assert has_checkpoint(run.checkpoints)
    assert recipe_to_yaml(cell.recipe) == run.recipe.read_text()
