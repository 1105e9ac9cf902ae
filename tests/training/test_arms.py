"""Runs of several arms, from the plan to results.json, straight through and stopped anywhere."""

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.errors import UserError
from convergan.recipes.arms import own_arm
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.files import read_recipe
from convergan.recipes.networks import MLPSettings
from convergan.recipes.plan import PlanSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import ConsistencySettings
from convergan.runs.metrics import read_metrics
from convergan.runs.model import load_classifier
from convergan.runs.results import Results
from convergan.training.progress import ProgressEntry, RunProgress
from convergan.training.run import RunOptions, rehearse, train
from convergan.training.signals import Interrupted

SMALL = replace(
    PRESETS["digits"],
    labels=None,
    epochs=2,
    batch_size=8,
    networks=MLPSettings(hidden=(12, 10), generator_hidden=(9,), latent_size=5),
    hardware=HardwareSettings(accelerator="cpu", threads=1),
)
PLAN = PlanSettings(epochs=2, hold_out_share=0.5, baseline=6)
PLANNED = replace(SMALL, arms=("gan",), steps=8, plan=PLAN)
"""Two arms, `gan` and `baseline`, whose steps are known: nothing is measured."""


def squares(*, with_test: bool) -> DataSet:
    """Forty images of noise around three shades, half of them labelled."""
    random = np.random.default_rng(3)
    labels = np.arange(40) % 3
    images = (60 * labels[:, None, None] + random.integers(0, 80, (40, 8, 8))).astype(np.uint8)
    known_labels = np.where(np.arange(40) < 24, labels, -1)
    test = {"test_images": images, "test_labels": labels} if with_test else {}
    return data_set_from_arrays(images, known_labels, classes=("a", "b", "c"), **test)


def files(out: Path) -> dict[str, bytes]:
    """The weights of the model, and the metrics and results without times, by their paths."""
    contents = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.name == "classifier.safetensors":
            contents[name] = path.read_bytes()
        elif path.name == "metrics.jsonl":
            contents[name] = repr(
                [replace(line, train_seconds=0, seconds_per_epoch=0) for line in read_metrics(path)]
            ).encode()
        elif path.name == "results.json":
            values = json.loads(path.read_text())
            for key in ("train_seconds", "seconds_per_epoch", "versions", "git_commit"):
                del values[key]
            for arm in values["arms"]:
                del arm["minutes"]
            contents[name] = json.dumps(values).encode()
    return contents


def run(out: Path, recipe: Recipe = PLANNED, *, with_test: bool, **options: object) -> Results:
    data = squares(with_test=with_test)
    console = Console(quiet=True)
    return train(recipe, out, data=data, options=RunOptions(**options), console=console)


@pytest.fixture(scope="module", params=[True, False], ids=["test set", "no test set"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bool, Path, Results]:
    out = tmp_path_factory.mktemp("arms") / "run"
    return request.param, out, run(out, with_test=request.param)


def test_results_name_every_arm_and_the_saved_one(finished: tuple[bool, Path, Results]) -> None:
    with_test, _, results = finished
    assert [arm.name for arm in results.arms] == ["gan", "baseline"]
    saved = results.arm(results.saved_arm)
    assert (results.test_errors, results.test_interval) == (saved.test_errors, saved.interval)
    baseline = results.arm("baseline")
    assert results.baseline_test_errors == baseline.test_errors
    assert results.decision is not None
    # Of every class a fifth of eight labels is held out.
    assert {(arm.held_out_size, results.test_size) for arm in results.arms} == {
        (6, 40 if with_test else 6)
    }
    if not with_test:
        assert "2 arms together" in results.interval_method
        assert all(arm.test_errors == arm.held_out_errors for arm in results.arms)
    assert [arm.steps for arm in results.arms] == ([8, 6] if with_test else [4, 3])
    assert results.labels == 24


def test_the_folder_holds_what_the_documentation_promises(
    finished: tuple[bool, Path, Results],
) -> None:
    with_test, out, results = finished
    unsaved_arm = {"gan": "baseline", "baseline": "gan"}[results.saved_arm]
    for arm in ("gan", "baseline"):
        assert len(read_metrics(out / "arms" / arm / "hold-out" / "metrics.jsonl")) == 2
    assert len(read_metrics(out / "metrics.jsonl")) == 2
    assert (out / "arms" / unsaved_arm / "metrics.jsonl").exists() == with_test
    assert not (out / "arms" / results.saved_arm / "metrics.jsonl").exists()
    assert load_classifier(out).classes == ("a", "b", "c")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["trainings"] == (4 if with_test else 3)
    assert (manifest["folds"], len(manifest["held_out"])) == (0, 6)
    assert (out / "report.html").exists()


class StopAfter:
    """Requests a stop once it has been called so many times."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("questions", [0, 2, 4, 6, 9, 14])
def test_a_run_that_was_stopped_anywhere_comes_to_the_same(
    finished: tuple[bool, Path, Results],
    questions: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_test, straight, _ = finished
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(
            "convergan.training.run_models.stop_on_signals", stopping(StopAfter(questions))
        )
        try:
            run(out, with_test=with_test, checkpoint_every_seconds=0)
        except Interrupted:
            assert not (out / "results.json").exists()
    run(out, with_test=with_test, resume=True)
    assert files(out) == files(straight)


def stopping(stop: Callable[[], bool]) -> Callable[[], object]:
    from contextlib import nullcontext

    return lambda: nullcontext(stop)


def test_finished_arms_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    run(out, with_test=True)
    contents = files(out)
    (out / "results.json").unlink()
    steps: list[int] = []
    monkeypatch.setattr(
        "convergan.training.step.Game.step", lambda *_: steps.append(1) or pytest.fail("a step")
    )
    run(out, with_test=True, resume=True)
    assert files(out) == contents and not steps


def test_minutes_are_planned_once_and_repeated_by_resume_and_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, minutes=0.05)
    text = io.StringIO()
    data, out = squares(with_test=True), tmp_path / "run"
    # As on a machine whose speed is constant.
    monkeypatch.setattr("convergan.training.planning.FEWEST_STEPS", 1)
    monkeypatch.setattr("convergan.training.planning.step_seconds", lambda *_, **__: 0.1)
    train(recipe, out, data=data, console=Console(file=text, width=80))
    saved = read_recipe(out / "recipe.yaml")
    assert saved.minutes == 0.05 == saved.plan.minutes and saved.steps and saved.plan.baseline
    lines = text.getvalue().splitlines()
    (first,) = [place for place, line in enumerate(lines) if line.startswith("planned: about ")]
    assert max(map(len, lines[first : first + 5])) <= 80
    assert [line.split()[0] for line in lines[first + 2 : first + 5]] == [
        "gan", "baseline", "together",
    ]  # fmt: skip

    def measured(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("convergan.training.planning.step_seconds", measured)
    (out / "results.json").unlink()
    quiet = Console(quiet=True)
    train(recipe, out, data=data, options=RunOptions(resume=True), console=quiet)
    train(saved, tmp_path / "again", data=data, console=quiet)
    assert files(tmp_path / "again") == files(out)
    (out / "results.json").unlink()
    with pytest.raises(UserError, match=r"^minutes: expected 0.05 as in "):
        train(
            replace(recipe, minutes=0.06),
            out,
            data=data,
            options=RunOptions(resume=True),
            console=quiet,
        )


def shown_by(monkeypatch: pytest.MonkeyPatch) -> list[ProgressEntry]:
    """Records the trainings whose progress a run shows, as they are known when it begins or goes on."""
    entries: list[ProgressEntry] = []

    class Noted(RunProgress):
        def __init__(
            self, console: Console, trainings: Sequence[ProgressEntry], **options: bool
        ) -> None:
            entries[:] = trainings
            super().__init__(console, trainings, **options)

    monkeypatch.setattr("convergan.training.run.RunProgress", Noted)
    return entries


def test_a_resumed_run_tells_the_time_left_by_the_steps_that_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(_: object, recipe: Recipe, *__: object, **___: object) -> float:
        return 0.3 if own_arm(recipe) == "gan" else 0.1

    monkeypatch.setattr("convergan.training.planning.FEWEST_STEPS", 1)
    monkeypatch.setattr("convergan.training.planning.step_seconds", measured)
    out, entries = tmp_path / "run", shown_by(monkeypatch)
    recipe = replace(SMALL, minutes=0.1)
    with monkeypatch.context() as patch:
        patch.setattr("convergan.training.run_models.stop_on_signals", stopping(StopAfter(1)))
        with pytest.raises(Interrupted):
            run(out, recipe, with_test=True)
    begun = list(entries)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["step_seconds"] == {"gan": 0.3, "baseline": 0.1}
    run(out, recipe, with_test=True, resume=True)
    assert entries == begun
    assert {entry.step_cost for entry in entries} == {0.3, 0.1}


def test_a_run_that_repeats_a_plan_counts_its_arms_as_equally_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = shown_by(monkeypatch)
    run(tmp_path / "run", with_test=True)
    # First both arms without the held-out labels, half of the steps of each; then both on all labels.
    assert [entry.cost for entry in entries] == pytest.approx([0.5, 0.5, 1, 1])


def test_a_recipe_file_with_other_networks_is_planned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.training.planning.FEWEST_STEPS", 1)
    monkeypatch.setattr("convergan.training.planning.step_seconds", lambda *_, **__: 0.1)
    run(tmp_path / "run", replace(SMALL, minutes=0.05), with_test=True)
    saved = read_recipe(tmp_path / "run" / "recipe.yaml")
    monkeypatch.setattr("convergan.training.planning.step_seconds", lambda *_, **__: 0.2)
    networks = MLPSettings(hidden=(13, 10), generator_hidden=(9,), latent_size=5)
    run(tmp_path / "other", replace(saved, networks=networks), with_test=True)
    replanned = read_recipe(tmp_path / "other" / "recipe.yaml")
    assert saved.steps and replanned.steps and replanned.steps < 0.7 * saved.steps
    with pytest.raises(UserError, match=r"^networks\.hidden: expected "):
        run(tmp_path / "run", replace(saved, networks=networks), with_test=True, resume=True)


def test_a_dry_run_prints_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr("convergan.training.planning.FEWEST_STEPS", 1)
    data, console = squares(with_test=False), Console(file=text, width=80)
    rehearse(replace(SMALL, minutes=2), data=data, console=console)
    output = text.getvalue()
    assert "all labels: steps" in output and "nothing was trained (--dry-run)" in output
    assert "2 arms: gan, baseline; 3 trainings" in output
    # Also where the steps are known, as in a recipe.yaml.
    text.truncate(0)
    rehearse(PLANNED, data=data, console=console)
    assert re.search(r"^gan .* 8  ", text.getvalue(), re.M)


def test_too_few_minutes_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^minutes: expected at least "):
        train(
            replace(SMALL, minutes=0.01),
            tmp_path / "run",
            data=squares(with_test=True),
            console=Console(quiet=True),
        )
    assert not (tmp_path / "run").exists()


def test_arms_without_classes_are_refused(tmp_path: Path) -> None:
    images = np.zeros((20, 8, 8), dtype=np.uint8)
    images[::2] = 255
    data = data_set_from_arrays(images)
    with pytest.raises(UserError, match=r"^arms: expected none where there are no classes"):
        train(PLANNED, tmp_path / "run", data=data, console=Console(quiet=True))


def test_folds_choose_where_they_are_asked_for(tmp_path: Path) -> None:
    recipe = replace(PLANNED, data=replace(PLANNED.data, folds=2))
    results = run(tmp_path / "run", recipe, with_test=False)
    assert (results.folds, results.test_size) == (2, 24)
    for arm in ("gan", "baseline"):
        for fold in ("1", "2"):
            assert (tmp_path / "run" / "arms" / arm / "folds" / fold / "metrics.jsonl").exists()


def test_a_clearly_better_baseline_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.training.arms.chosen_arm", lambda wrong: "baseline")
    results = run(tmp_path / "run", with_test=True)
    assert results.saved_arm == "baseline"
    assert results.test_errors == results.baseline_test_errors
    # A classifier alone: the baseline has no generator.
    assert not (tmp_path / "run" / "model" / "generator.safetensors").exists()


def test_composed_is_compared_with_consistency(tmp_path: Path) -> None:
    objective = SMALL.objective.with_term(ConsistencySettings(weight=1.0))
    plan = replace(PLAN, consistency=7)
    recipe = replace(
        SMALL,
        objective=objective,
        augmentation=AugmentationSettings(kind="digits"),
        arms=("consistency",),
        steps=8,
        plan=plan,
    )
    results = run(tmp_path / "run", recipe, with_test=True)
    assert [arm.name for arm in results.arms] == ["composed", "baseline", "consistency"]
    assert len(results.comparisons) == 3
