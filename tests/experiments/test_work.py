"""The work of one cell: what a worker answers, and what it leaves."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from convergan.data.digits import open_digits
from convergan.experiments.cells import Ensemble, Scoring, Training, with_draw
from convergan.experiments.store import Store
from convergan.experiments.work import Job, job_of, perform, timing_job
from convergan.experiments.worker import _with_tuples
from convergan.inference.predict import predict
from convergan.json_files import json_line, read_json
from convergan.recipes.settings import DataSettings, HardwareSettings, Recipe
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.scoring.settings import ScoreSettings
from convergan.training.run import train


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out", tmp_path / "kept")


def job(cell: Training, store: Store) -> Job:
    return job_of(cell, store.cell_folder(cell), store.log(cell))


def test_a_cell_is_an_ordinary_run_and_is_kept_with_all_that_trained_it(
    tiny: Recipe, store: Store
) -> None:
    cell = with_draw(replace(tiny, epochs=1), labels=20, draw=3)
    assert perform(job(cell, store)).error is None
    run = RunFolder(store.cell_folder(cell))
    assert run.report.exists() and run.model.is_dir() and run.read_results() is not None
    assert "misclassifies" in store.log(cell).read_text()
    store.keep("table1", cell)
    (path,) = store.results.glob("table1/*/results.json")
    results = read_json(path)
    assert {"labels", "seed", "epochs", "test_size", "test_errors"} <= set(results)
    assert (results["labels"], results["seed"], results["epochs"]) == (20, 3, 1)
    assert results["errors_by_epoch"] == [results["test_errors"]]
    assert results["sha256"] == cell.sha256 and "path" not in results["settings"]["data"]


def test_what_the_user_can_put_right_is_an_answer_in_one_line(tiny: Recipe, store: Store) -> None:
    cell = with_draw(tiny, labels=5000, draw=0)
    error = perform(job(cell, store)).error
    assert error is not None and error.startswith("labels: expected at most")


def test_an_unexpected_error_is_an_answer_and_its_traceback_is_in_the_log(
    tiny: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("convergan.training.run.train", broken)
    cell = with_draw(tiny, labels=20, draw=0)
    assert perform(job(cell, store)).error == "ZeroDivisionError: by zero"
    assert "Traceback" in store.log(cell).read_text()


def test_an_interrupted_training_is_no_failure(
    tiny: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convergan.training.signals import Interrupted

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    monkeypatch.setattr("convergan.training.run.train", interrupted)
    assert perform(job(with_draw(tiny, labels=20, draw=0), store)).ending == "stopped"


def test_a_cell_that_another_process_trains_is_busy(tiny: Recipe, store: Store) -> None:
    cell = with_draw(tiny, labels=20, draw=0)
    with claimed(RunFolder(store.cell_folder(cell)), resume=True):
        answer = perform(job(cell, store))
    assert answer.ending == "busy" and f"by process {os.getpid()} on " in (answer.error or "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=["python", "gpu", "cpu"],
)
def test_too_little_memory_is_no_fault_of_the_cell(
    tiny: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("convergan.training.run.train", too_large)
    assert perform(job(with_draw(tiny, labels=20, draw=0), store)).ending == "out of memory"


def test_averaging_takes_no_gpu_unless_it_is_told_to(tiny: Recipe, store: Store) -> None:
    def takes(accelerator: str) -> bool:
        recipe = replace(tiny, hardware=HardwareSettings(accelerator=accelerator))  # type: ignore[arg-type]
        members = tuple(with_draw(recipe, labels=20, draw=0, member=n) for n in range(2))
        assert job(members[0], store).uses_gpu
        return job(Ensemble(members=members), store).uses_gpu  # type: ignore[arg-type]

    assert not takes("auto") and takes("gpu")


def test_steps_are_timed_and_nothing_is_left_behind(tiny: Recipe, tmp_path: Path) -> None:
    def seconds(epochs: int) -> float:
        recipe = with_draw(replace(tiny, epochs=epochs), labels=20, draw=0).recipe
        answer = perform(timing_job(Training(recipe=recipe), "time-tiny", tmp_path / "log"))
        assert answer.error is None and answer.value is not None
        return answer.value

    assert 0 < seconds(10) < 600
    # A thousand times the epochs, on whatever machine: far more time.
    assert seconds(10_000) > 20 * seconds(10)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_images_of_a_score_are_timed(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.experiments.scoring._TIMED_BATCHES", 1)

    def seconds(count: int, *, real: bool) -> float:
        recipe = replace(tiny, data=DataSettings(source="digits"))
        settings = ScoreSettings(metrics=("is",), count=count)
        cell = Scoring(recipe=recipe, settings=settings, real=real)
        timing = timing_job(cell, "time-scores", tmp_path / "log")
        answer = perform(Job(**_with_tuples(json.loads(json_line(timing)))))
        assert answer.error is None and answer.value is not None
        return answer.value

    # A hundred times the images, on whatever machine; of real images, all 1,297 count.
    assert 0 < 2 * seconds(13, real=False) < seconds(13, real=True)


def test_an_ensemble_averages_its_members_and_is_a_run_as_any_other(
    tiny: Recipe, store: Store
) -> None:
    quick = replace(tiny, epochs=1)
    members = tuple(with_draw(quick, labels=20, draw=0, member=number) for number in range(2))
    ensemble = Ensemble(members=members)
    for member in members:
        assert perform(job(member, store)).error is None
    folders = tuple(store.cell_folder(member) for member in members)
    for folder in folders:
        # The models are enough.
        shutil.rmtree(folder / "checkpoints")
    averaging = job_of(ensemble, store.cell_folder(ensemble), store.log(ensemble), members=folders)
    assert perform(averaging).error is None
    ensemble_outcome = store.outcome(ensemble)
    assert ensemble_outcome is not None and [
        outcome.seed for outcome in ensemble_outcome.members
    ] == [0, 1]
    # A run as any other: it is one classifier, which averages its members' probabilities.
    test = open_digits().test
    assert test is not None
    member_probabilities = [predict(folder, test.images).probabilities for folder in folders]
    prediction = predict(store.cell_folder(ensemble), test.images)
    assert np.allclose(prediction.probabilities, np.mean(member_probabilities, axis=0), atol=1e-5)
    assert int((prediction.labels != test.labels).sum()) == ensemble_outcome.test_errors
    store.keep("table1", ensemble)
    (path,) = store.results.glob("table1/*/results.json")
    outcomes = [store.outcome(member) for member in members]
    assert read_json(path)["errors_by_epoch_of_members"] == [
        [outcome.test_errors] for outcome in outcomes if outcome
    ]
    assert ensemble_outcome.data_fingerprint is not None
    assert {outcome.data_fingerprint for outcome in outcomes if outcome} == {
        ensemble_outcome.data_fingerprint
    }
    assert ensemble_outcome.trained_at_commits == outcomes[0].trained_at_commits  # type: ignore[union-attr]


def test_runs_with_a_baseline_are_members_as_well(tiny: Recipe, store: Store) -> None:
    """Adopted runs differ in settings that decide nothing."""
    quick = replace(tiny, epochs=1, baseline=True)
    members = tuple(with_draw(quick, labels=20, draw=0, member=number) for number in range(2))
    folders = tuple(store.cell_folder(member) for member in members)
    for number, folder in enumerate(folders):
        data = replace(quick.data, split_seed=None if number == 0 else 0)
        recipe = replace(quick, labels=20, seed=number, data=data)
        train(recipe, folder.parent.parent / "runs" / str(number), console=Console(quiet=True))
        store.adopt(members[number], folder.parent.parent / "runs" / str(number))
    ensemble = Ensemble(members=members)
    averaging = job_of(ensemble, store.cell_folder(ensemble), store.log(ensemble), members=folders)
    assert perform(averaging).error is None
    outcome = store.outcome(ensemble)
    assert outcome is not None and len(outcome.members) == 2
    # A run with other settings is not a member.
    longer = replace(tiny, epochs=2)
    wrong = Ensemble(
        members=tuple(with_draw(longer, labels=20, draw=0, member=n) for n in range(2))
    )
    averaging = job_of(wrong, store.cell_folder(wrong), store.log(wrong), members=folders)
    error = perform(averaging).error
    assert error is not None and "epochs 1 in place of 2" in error


def test_real_images_are_scored_by_a_network(
    trained_run: Path, tiny: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import convergan.experiments.scoring as scoring

    score = scoring.score

    def by_a_run(*images: object, **settings: object) -> object:
        # The Inception network of 2015 is not at hand.
        return score(*images, **{**settings, "classifier": trained_run, "weights": None})  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "score", by_a_run)
    recipe = replace(tiny, data=DataSettings(source="digits"))
    real = Scoring(recipe=recipe, settings=ScoreSettings(metrics=("is",), count=200), real=True)
    scoring_job = job_of(real, store.cell_folder(real), store.log(real))
    assert perform(scoring_job).error is None
    real_outcome = store.outcome(real)
    assert (
        real_outcome is not None
        and real_outcome.score is not None
        and 1 <= real_outcome.score <= 10
    )
    samples = Scoring(recipe=recipe, settings=ScoreSettings(metrics=("is",), count=200))
    scoring_job = job_of(
        samples, store.cell_folder(samples), store.log(samples), members=(trained_run,)
    )
    assert perform(scoring_job).error is None
    sample_outcome = store.outcome(samples)
    assert sample_outcome is not None and sample_outcome.score is not None
    images = RunFolder(trained_run).read_manifest().data.fingerprint
    assert sample_outcome.data_fingerprint == real_outcome.data_fingerprint == images
    assert sample_outcome.network is not None
    assert read_json(store.cell_folder(samples) / "results.json")["images"] == 200


def test_a_score_is_computed_by_all_settings_that_name_it(
    tiny: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ScoreSettings(
        metrics=("is",), count=500, splits=5, protocol="shuffled", seed=3, precision="bf16"
    )
    calls: list[ScoreSettings] = []
    monkeypatch.setattr(
        "convergan.experiments.scoring.score_samples",
        lambda *_, **arguments: calls.append(arguments["settings"]),
    )
    cell = Scoring(recipe=tiny, settings=settings)
    scoring_job = job_of(cell, store.cell_folder(cell), store.log(cell), members=(store.folder,))
    # As a worker reads it.
    assert perform(Job(**_with_tuples(json.loads(json_line(scoring_job))))).error is None
    assert calls == [settings]
