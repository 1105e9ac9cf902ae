"""Records of time to accuracy are kept for good, and variants of an ablation get equal time."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import ablation
import time_to_accuracy
from convergan.recipes.files import read_recipe
from convergan.recipes.networks import ConvSettings
from convergan.runs.epochs import EpochLine
from convergan.runs.metrics import append_metrics, read_metrics
from harness import BENCHMARKS, rows
from harness.pilots import PILOT_STEPS, step_seconds
from small_mnist import dense_peer
from time_to_accuracy import appended, first_below, record, records_of


def test_the_first_epoch_below_a_target_counts() -> None:
    seconds, rates = (10.0, 20.0, 30.0, 40.0), (0.1, 0.012, 0.013, 0.009)
    assert first_below(0.012, seconds, rates) == 20
    assert first_below(0.010, seconds, rates) == 40
    assert first_below(0.005, seconds, rates) is None


def a_record(**changed: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "subject": "mnist", "labels": 100, "seed": 5, "threads": 2, "seconds": (10.0, 20.04),
        "errors": (130, 110), "test_size": 10_000, "git_commit": "abc", "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2},
    }  # fmt: skip
    return record(**{**facts, **changed})


def test_records_are_added_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results" / "records.json"
    assert records_of(path) == []
    first, second = a_record(), a_record(errors=(130, 90))
    appended(path, [first])
    content = path.read_text()
    appended(path, [second])
    assert records_of(path) == [first, second]
    assert path.read_text().startswith(content.rstrip("\n]"))
    assert first["seconds_to"] == {"1.2%": 20.0, "1.0%": None}
    assert second["seconds_to"] == {"1.2%": 20.0, "1.0%": 20.0}


def test_one_that_does_not_get_there_is_shown_as_such() -> None:
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        time_to_accuracy.print_table([a_record(), a_record(seed=6, errors=(200, 90))], console)
    output = capture.get()
    assert "not in 20 s" in output and "1.10 %" in output and "a CPU, 2 threads" in output
    assert "2 runs, 1.2% by 2; 1.0% by 1; last errors: mean 1.00 %, median 1.00 %" in output


def run_that_writes(epochs: Sequence[tuple[float, int]], commands: list[list[object]]) -> Any:
    """A training that only notes its words and writes its epochs: seconds and errors of 10,000."""

    def train(words: list[object], out: Path, *, threads: int) -> dict[str, Any]:
        commands.append(words)
        out.mkdir(parents=True)
        for number, (seconds, errors) in enumerate(epochs, 1):
            line = EpochLine(
                epoch=number, train_seconds=seconds, test_size=10_000, test_errors=errors
            )
            append_metrics(out / "metrics.jsonl", line)
        return {"test_size": 10_000, "precision": "fp32", "cpu_seconds": 99.0}

    return train


def test_a_record_is_measured_once_by_commit_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    commands: list[list[object]] = []
    monkeypatch.setattr(
        time_to_accuracy,
        "train",
        run_that_writes([(50.0, 125), (110.0, 119), (160.0, 101)], commands),
    )
    words = ["--what", "mnist", "--minutes", "3", "--threads", str(torch.get_num_threads())]
    time_to_accuracy.main([*words, "--seeds", "5", "6", "--runs", str(tmp_path / "runs")])
    assert commands == [
        ["mnist", "--labels", 100, "--seed", seed, "--no-baseline", "--minutes", 3.0]
        for seed in (5, 6)
    ]
    path = tmp_path / "results" / "time-to-accuracy.json"
    first, second = json.loads(path.read_text())
    assert (first["seed"], second["seed"]) == (5, 6)
    assert first["seconds_to"] == {"1.2%": 110.0, "1.0%": None}
    assert (first["seconds_in_all"], first["last_errors"]) == (160.0, 101)
    time_to_accuracy.main([*words, "--seeds", "5", "6", "--runs", str(tmp_path / "runs")])
    assert len(commands) == 2
    # Another commit has records of its own; these stay.
    monkeypatch.setattr(rows, "GIT_COMMIT", "another")
    time_to_accuracy.main([*words, "--draws", "1", "--labels", "20", "--runs", str(tmp_path / "b")])
    records = json.loads(path.read_text())
    assert records[:2] == [first, second]
    assert (records[2]["labels"], records[2]["seed"], records[2]["git_commit"]) == (
        20,
        0,
        "another",
    )


def test_the_peer_has_a_record_too(
    digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(time_to_accuracy, "Peer", dense_peer)
    time_to_accuracy.main(
        [
            "--what",
            "peer",
            "--data",
            str(digits_folder),
            "--seeds",
            "5",
            "--epochs",
            "2",
            "--threads",
            "1",
            "--runs",
            str(tmp_path / "runs"),
        ]
    )
    (result,) = records_of(tmp_path / "results" / "time-to-accuracy.json")
    assert (result["what"], result["epochs"], result["test_size"]) == ("peer", 2, 500)
    assert result["seconds_in_all"] > 0 and len(result["errors_by_epoch"]) == 2


def test_variants_of_an_ablation_have_the_same_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(ablation, "Console", lambda: Console(width=200))
    calls: list[tuple[list[object], str]] = []

    def train(words: list[object], out: Path, *, threads: int) -> dict[str, Any]:
        file = Path(str(words[words.index("--from") + 1]))
        calls.append((words, file.read_text(encoding="utf-8")))
        steps = words[words.index("--steps") + 1]
        assert isinstance(steps, int)
        slow = "--objective.consistency.weight" not in words
        return {
            "test_errors": 30 if slow else 45, "test_size": 500, "device": "cpu, 1 thread",
            "precision": "fp32", "cpu_seconds": 5 + steps * (0.2 if slow else 0.1),
        }  # fmt: skip

    monkeypatch.setattr(ablation, "train", train)
    words = [
        "ablation.py", "--rows", "digits", "--variants", "as it is", "labels alone",
        "networks of the paper", "--cpu-seconds", "60", "--runs", str(tmp_path / "runs"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    ablation.main()
    steps = [command[command.index("--steps") + 1] for command, _ in calls]
    pilots = [1, *PILOT_STEPS]
    assert steps == 2 * [*pilots, 300, *pilots, 600, *pilots, 300]
    final = calls[7][0]
    assert final[:2] == ["--labels", 100] and "--no-baseline" in final
    assert final[-2:] == ["--objective.consistency.weight", "0"]
    # Not the draws of few_labels, which must not choose anything.
    assert {command[command.index("--seed") + 1] for command, _ in calls} == {100, 101}
    file = tmp_path / "recipe.yaml"
    file.write_text(calls[11][1])
    assert isinstance(read_recipe(file).networks, ConvSettings)
    labels, networks = json.loads((tmp_path / "results" / "ablation.json").read_text())
    assert (labels["ours"], labels["peer"], labels["peer_steps"]) == (6, 9, [600, 600])
    assert labels["options"] == "--objective.consistency.weight 0" and networks["peer"] == 6
    assert "+3.00" in capsys.readouterr().out
    ablation.main()
    assert len(calls) == 24


def test_a_step_is_timed_without_the_start() -> None:
    assert step_seconds(lambda steps: 7 + 0.3 * steps) == pytest.approx(0.3)


def test_quick_steps_are_timed_for_longer() -> None:
    """The start varies by more than 60 quick steps take."""
    starts = iter([9, 7, 8, 7])
    assert step_seconds(lambda steps: next(starts) + 0.01 * steps) == pytest.approx(0.01, rel=0.3)


def test_records_of_former_runs_say_what_those_runs_say() -> None:
    folder = BENCHMARKS / "results"
    records = records_of(folder / "time-to-accuracy.json")
    (race,) = json.loads((folder / "mnist-time-to-accuracy-seed2.json").read_text())
    for side, subject in (("ours", "mnist"), ("peer", "peer")):
        (result,) = [
            entry
            for entry in records
            if entry["what"] == subject and entry["command"] == race["command"]
        ]
        seconds = race[side] - race[f"{side}_start_seconds"]
        assert result["seconds_to"]["1.2%"] == pytest.approx(seconds, abs=0.3)
        assert result["epochs"] == race[f"{side}_epoch_reached"]
    for seed in (2, 3, 4):
        lines = read_metrics(folder / "mnist-100" / f"{seed}-metrics.jsonl")
        (result,) = [
            entry for entry in records if entry["seed"] == seed and "mnist_100" in entry["command"]
        ]
        target_line = next(line for line in lines if line.test_errors <= 120)
        assert result["seconds_to"]["1.2%"] == pytest.approx(target_line.train_seconds, abs=0.1)
        assert (result["epochs"], result["last_errors"]) == (len(lines), lines[-1].test_errors)
