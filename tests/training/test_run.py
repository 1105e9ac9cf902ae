"""A run from its recipe to its folder: every kind of data that users bring."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from convergan.data.image_set import data_set_from_arrays
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.files import read_recipe
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import NonSaturatingSettings, SupervisedSettings
from convergan.runs.metrics import read_metrics
from convergan.runs.model import load_classifier, load_config
from convergan.training.preparation import prepare
from convergan.training.run import RunOptions, rehearse, train
from drawn_images import CLASSES, write_folder
from support import FORMER_FOLDER, with_generator_term


@pytest.fixture
def folder_recipe(tmp_path: Path) -> Recipe:
    """The `folder` recipe with narrow networks and few steps."""
    preset = FORMER_FOLDER
    return replace(
        preset,
        epochs=2,
        min_steps_per_epoch=2,
        batch_size=20,
        networks=ConvSettings(width=6, generator_width=8, latent_size=10),
        data=replace(preset.data, path=tmp_path / "images", cache=tmp_path / "cache"),
    )


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_folder_holds_what_the_documentation_promises(
    trained_run: Path, quick_recipe: Recipe
) -> None:
    names = {path.name for path in trained_run.iterdir()}
    assert names == {
        "recipe.yaml", "manifest.json", "metrics.jsonl", "results.json", "report.html",
        "checkpoints", "model", "samples",
    }  # fmt: skip
    assert {path.name for path in (trained_run / "model").iterdir()} == {
        "classifier.safetensors", "generator.safetensors", "config.json",
    }  # fmt: skip
    assert read_recipe(trained_run / "recipe.yaml") == quick_recipe
    report = (trained_run / "report.html").read_text()
    assert "With feature matching, they may look wrong" in report
    assert "objective.feature_matching.weight" in report
    results = read(trained_run / "results.json")
    assert {
        "recipe", "labels", "seed", "epochs", "test_size", "test_errors", "test_error_rate",
        "baseline_test_errors", "baseline_test_error_rate", "train_seconds", "seconds_per_epoch",
        "device", "precision", "versions", "git_commit",
    } <= set(results)  # fmt: skip
    assert (results["labels"], results["test_size"]) == (100, 500)
    last = read_metrics(trained_run / "metrics.jsonl")[-1]
    assert results["test_errors"] == last.test_errors
    assert results["baseline_test_errors"] == last.baseline_test_errors
    assert results["test_error_rate"] == results["test_errors"] / 500


def test_the_manifest_names_the_labelled_images(trained_run: Path) -> None:
    manifest = read(trained_run / "manifest.json")
    labelled = manifest["labelled"]
    assert len(set(labelled)) == 100
    assert manifest["labelled_of_class"] == [10] * 10
    data = open_data_set(PRESETS["digits"].data)
    assert np.bincount(data.train.labels[labelled]).tolist() == [10] * 10
    assert manifest["data"]["fingerprint"] == data.fingerprint
    assert manifest["seed"] == manifest["split_seed"] == 0
    assert manifest["versions"]["torch"] and "skipped" in manifest["data"]


def test_the_saved_classifier_is_the_one_that_was_tested(trained_run: Path) -> None:
    classifier = load_classifier(trained_run)
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    images = torch.from_numpy(data.test.images).permute(0, 3, 1, 2)
    predicted = classifier(images).logits.argmax(dim=1).numpy()
    errors = int((predicted != data.test.labels).sum())
    assert errors == read(trained_run / "results.json")["test_errors"]
    assert classifier.classes == data.classes


def test_members_of_an_ensemble_share_one_labelled_set(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    manifests = []
    for seed in (5, 6):
        member = replace(
            quick_recipe, epochs=1, seed=seed, data=replace(quick_recipe.data, split_seed=3)
        )
        train(member, tmp_path / str(seed), console=quiet)
        manifests.append(read(tmp_path / str(seed) / "manifest.json"))
    assert manifests[0]["labelled"] == manifests[1]["labelled"]


def test_few_labels_without_a_test_set_are_cross_validated(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    write_folder(tmp_path / "images", labelled=8)
    results = train(folder_recipe, tmp_path / "run", console=quiet)
    # Every label is tested on once, by a classifier that never saw it; the result has seen all.
    assert (results.folds, results.test_size, results.labels) == (4, 24, 24)
    low, high = results.test_interval
    assert low <= results.test_error_rate <= high
    assert results.decision in ("helped", "hurt", "undecided")
    manifest = read(tmp_path / "run" / "manifest.json")
    held_out = manifest["folds_held_out"]
    assert sorted(index for fold in held_out for index in fold) == manifest["labelled"]
    folds = [
        read_metrics(tmp_path / "run" / "folds" / f"{n}" / "metrics.jsonl") for n in (1, 2, 3, 4)
    ]
    assert sum(fold[-1].test_errors for fold in folds) == results.test_errors
    assert results.train_seconds > sum(fold[-1].train_seconds for fold in folds)
    assert "Error rate" in (tmp_path / "run" / "report.html").read_text()
    # Finished folds are not trained again.
    (tmp_path / "run" / "results.json").unlink()
    resumed = train(folder_recipe, tmp_path / "run", options=RunOptions(resume=True), console=quiet)
    assert resumed.test_errors == results.test_errors


def test_a_share_of_the_labels_is_held_out(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    write_folder(tmp_path / "images", labelled=10, unlabelled=10)
    recipe = replace(folder_recipe, data=replace(folder_recipe.data, folds=0, test_share=0.3))
    results = train(recipe, tmp_path / "run", console=quiet)
    assert (results.folds, results.test_size, results.labels) == (0, 9, 21)
    manifest = read(tmp_path / "run" / "manifest.json")
    assert not set(manifest["held_out"]) & set(manifest["labelled"])


def test_a_test_folder_is_the_test_set(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    write_folder(tmp_path / "images", labelled=6, unlabelled=6, test=5)
    results = train(folder_recipe, tmp_path / "run", console=quiet)
    assert (results.folds, results.test_size) == (0, 15)
    config = load_config(tmp_path / "run")
    assert (config.classes, config.image_shape, config.resized) == (CLASSES, (3, 32, 32), False)


def test_images_without_labels_give_a_generator(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    write_folder(tmp_path / "all", labelled=0, unlabelled=10)
    recipe = replace(
        folder_recipe, data=replace(folder_recipe.data, path=tmp_path / "all" / "unlabelled")
    )
    results = train(recipe, tmp_path / "run", console=quiet)
    assert results.test_errors is None
    assert read_recipe(tmp_path / "run" / "recipe.yaml").objective.supervised.weight == 0
    assert (tmp_path / "run" / "model" / "generator.safetensors").exists()
    assert "<html" in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(UserError, match="labels: expected none"):
        train(replace(recipe, labels=10), tmp_path / "other", console=quiet)


def test_labels_are_not_used_where_nothing_is_classified(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    objective = with_generator_term(quick_recipe.objective, NonSaturatingSettings(weight=1.0))
    objective = objective.with_term(SupervisedSettings(weight=0.0))
    results = train(
        replace(quick_recipe, epochs=1, objective=objective), tmp_path / "run", console=quiet
    )
    assert results.test_errors is None and results.labels == 0
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert set(line.losses) == {"discriminator/real_or_generated", "generator/non_saturating"}
    assert "With feature matching" not in (tmp_path / "run" / "report.html").read_text()


def test_unreadable_images_are_named_or_skipped_and_listed(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "images", labelled=4, unlabelled=4, test=2)
    broken = folder / "unlabelled" / "broken.png"
    broken.write_bytes((folder / "circles" / "circles-000.png").read_bytes()[:100])
    with pytest.raises(UserError, match=r"broken\.png"):
        train(folder_recipe, tmp_path / "run", console=quiet)
    assert not (tmp_path / "run").exists()
    recipe = replace(folder_recipe, data=replace(folder_recipe.data, skip_unreadable=True))
    train(recipe, tmp_path / "run", console=quiet)
    (skipped,) = read(tmp_path / "run" / "manifest.json")["data"]["skipped"]
    assert "broken.png" in skipped["name"] and skipped["reason"]


def test_memory_mapped_images_train_alike(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    write_folder(tmp_path / "images", labelled=6, unlabelled=6, test=5)
    lines = []
    for resident_mb in (4096, 0):
        recipe = replace(folder_recipe, data=replace(folder_recipe.data, resident_mb=resident_mb))
        train(recipe, tmp_path / f"run-{resident_mb}", console=quiet)
        lines.append(read_metrics(tmp_path / f"run-{resident_mb}" / "metrics.jsonl"))
    for resident, mapped in zip(*lines, strict=True):
        assert resident.losses == mapped.losses
        assert resident.test_errors == mapped.test_errors


def test_junk_among_the_unlabelled_is_survived(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    """Digits 0 to 7 as classes, unbalanced; with and without 20 % of 8s and 9s among the unlabelled.

    benchmarks/junk.py measures the cost at full length.
    """
    data = open_data_set(quick_recipe.data)
    assert data.test is not None
    generator = np.random.default_rng(0)
    trained, tested = data.train.labels < 8, data.test.labels < 8
    images, labels = data.train.images[trained], data.train.labels[trained].copy()
    # One class with fewer unlabelled images than the others: data as it comes.
    retained = (labels != 3) | (generator.random(len(labels)) < 0.4)
    images, labels = images[retained], labels[retained]
    junk = data.train.images[~trained][: len(images) // 4]
    errors = {}
    for name, extra in (("clean", junk[:0]), ("junk", junk)):
        mixed = data_set_from_arrays(
            np.concatenate([images, extra]),
            np.concatenate([labels, np.full(len(extra), -1)]),
            data.test.images[tested],
            data.test.labels[tested],
            classes=list(data.classes[:8]),
        )
        recipe = replace(quick_recipe, labels=80, epochs=12)
        results = train(recipe, tmp_path / name, data=mixed, console=quiet)
        errors[name] = results.test_errors
    assert len(junk) / (len(images) + len(junk)) == pytest.approx(0.2, abs=0.01)
    assert results.test_size == 400
    assert errors["junk"] <= errors["clean"] + 24


@pytest.mark.parametrize("batch_size", [20, 3])
def test_a_batch_that_processes_cannot_share(quick_recipe: Recipe, batch_size: int) -> None:
    with pytest.raises(UserError, match=r"batch-size: expected a multiple of the 3 processes"):
        prepare(replace(quick_recipe, batch_size=batch_size), None, processes=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": ConvSettings()}, "expected images of at least 9 px, got 8x8"),
        ({"labels": 5000}, "labels: expected at most 1,240: 124 of each class"),
        (
            {"hardware": HardwareSettings(accelerator="cuda", devices=256)},
            r"hardware\.(accelerator|devices): expected",
        ),
    ],
)
def test_a_mistake_that_shows_late_leaves_no_folder_behind(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, change: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(replace(quick_recipe, **change), tmp_path / "run", console=quiet)
    assert not (tmp_path / "run").exists()


def test_a_run_on_arrays_says_so(quick_recipe: Recipe, quiet: Console, tmp_path: Path) -> None:
    data = open_data_set(quick_recipe.data)
    train(replace(quick_recipe, epochs=1), tmp_path / "run", data=data, console=quiet)
    recipe = read_recipe(tmp_path / "run" / "recipe.yaml")
    assert recipe.data.source == "arrays"
    with pytest.raises(UserError, match=r"data.source: expected images that can be opened again"):
        train(recipe, tmp_path / "other", console=quiet)


def test_relative_paths_are_kept_absolute(
    folder_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "images", labelled=5)
    monkeypatch.chdir(tmp_path)
    relative = replace(folder_recipe, data=replace(folder_recipe.data, path=Path("images")))
    prepared = prepare(relative, None, processes=1)
    assert prepared.recipe.data.path == tmp_path / "images"


def test_tensorboard(quick_recipe: Recipe, quiet: Console, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = replace(quick_recipe, epochs=2)
    train(recipe, tmp_path / "run", options=RunOptions(logger="tensorboard"), console=quiet)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    logged = [int(event.value) for event in events.Scalars("test_errors")]
    assert logged == [line.test_errors for line in read_metrics(tmp_path / "run" / "metrics.jsonl")]


def test_what_is_committed_meanwhile_did_not_train_it(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git_commit() -> str:
        return "later" if (tmp_path / "run" / "metrics.jsonl").exists() else "first"

    monkeypatch.setattr("convergan.training.run_models.git_commit", git_commit)
    results = train(replace(quick_recipe, epochs=1), tmp_path / "run", console=quiet)
    assert results.git_commit == "first"


def test_threads_are_the_runs_alone(quick_recipe: Recipe, quiet: Console, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    # Four steps: two threads on one free core wait for each other most of the time.
    hardware = HardwareSettings(threads=threads + 1)
    recipe = replace(quick_recipe, epochs=1, batch_size=400, hardware=hardware)
    results = train(recipe, tmp_path / "run", console=quiet)
    assert results.device == f"cpu, {threads + 1} threads"
    assert torch.get_num_threads() == threads


def test_before_training_a_run_says_what_it_read(folder_recipe: Recipe, tmp_path: Path) -> None:
    write_folder(tmp_path / "images", labelled=4, unlabelled=5, test=2)
    console = Console(file=io.StringIO(), width=80)
    train(folder_recipe, tmp_path / "run", console=console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:3] == [
        "3 classes: circles (4), squares (4), stripes (4); 15 unlabelled; test 6",
        "32x32 px, colour",
        "1 training of 2 epochs; with a baseline",
    ]
    assert lines[3].startswith("warning: 6 test images measure ")
    assert lines[5].startswith("cpu, ")
    assert lines[6].startswith("this training of 2 epochs will take about ")
    assert re.fullmatch(r"epoch 1/2, losses \S+ and \S+, error \d+\.\d%, \d+ s left", lines[7])
    manifest = read(tmp_path / "run" / "manifest.json")
    assert (manifest["unlabelled_size"], manifest["folds"], manifest["trainings"]) == (15, 0, 1)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "circles (4), squares (4), stripes (4)" in text and "32x32 px, colour" in text


def test_a_dry_run_tells_all_and_leaves_the_cache_alone(
    folder_recipe: Recipe, tmp_path: Path
) -> None:
    write_folder(tmp_path / "images", labelled=8)
    console = Console(file=io.StringIO(), width=80)
    rehearse(folder_recipe, console=console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "3 classes: circles (8), ..., each 8; none unlabelled; test in 4 folds"
    assert lines[2].startswith("5 trainings of 2 epochs: 4 folds, then the result")
    assert lines[3].startswith("warning: 24 held-out labels measure ")
    memory, time, last = lines[6:]
    assert re.fullmatch(
        r"memory: about \S+ [MG]B plus the images, of the \S+ [MG]B that .+", memory
    )
    # Two steps an epoch; too many epochs for as many seconds would be no estimate.
    estimate = re.fullmatch(
        r"time: about (.+) on this machine .*, for 20 steps of about (\S+) s", time
    )
    assert estimate
    parts = re.findall(r"(\d+) (h|min|s)\b", estimate[1])
    total = sum(int(count) * {"h": 3600, "min": 60, "s": 1}[unit] for count, unit in parts)
    step, rounding = float(estimate[2]), 1 if parts[-1][1] == "s" else 60
    assert 20 * step < total + rounding < 40 * step + 2 * rounding
    assert last == "nothing was trained (--dry-run)"
    assert {path.name for path in tmp_path.iterdir()} == {"images", "cache"}


def test_an_impossible_place_is_found_before_an_image_is_read(
    folder_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    """The images are not even there."""
    (tmp_path / "file").write_text("")
    for out, message in (
        (trained_run, "expected a new or empty folder, got a finished run; --out DIR"),
        (tmp_path / "file", "file: expected a new or empty folder, got a file$"),
        (tmp_path / "file" / "run", "out: expected a folder that can be created"),
        (tmp_path / ("x" * 300), "out: expected a folder that can be created"),
        (tmp_path / "bad\0name", "out: expected a path, got"),
    ):
        with pytest.raises(UserError, match=message):
            train(folder_recipe, out, console=quiet)


ODD_NAMES = (
    "plain", "\"quoted\" & <b>bold</b>", "\u05e2\u05d1\u05e8\u05d9\u05ea \u202e", "\U0001f438", "l" * 300,
    "line\nbreak", "[red]markup", "=1+1",
)  # fmt: skip


def test_odd_names_of_classes_go_all_the_way(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    count = 3 * len(ODD_NAMES)
    images = generator.integers(0, 256, (count + 5, 8, 8), dtype=np.uint8)
    labels = np.append(np.arange(count) % len(ODD_NAMES), [-1] * 5)
    data = data_set_from_arrays(images, labels, images[:count], labels[:count], classes=ODD_NAMES)
    recipe = replace(quick_recipe, labels=None, epochs=1)
    train(recipe, tmp_path / "run", data=data, console=quiet)
    assert tuple(read(tmp_path / "run" / "model" / "config.json")["classes"]) == ODD_NAMES
    assert read(tmp_path / "run" / "results.json")["test_size"] == count
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "\U0001f438" in text and "<b>bold" not in text
    # One epoch shows nothing of how well it goes.
    assert "Too few epochs to judge" in text and "No warnings were raised" not in text


def test_the_report_names_images_that_are_worth_a_label(
    folder_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "images", labelled=5, unlabelled=9, test=2)
    monkeypatch.setattr("convergan.training.outcome.MOST_LOOKED_AT", 20)
    train(folder_recipe, tmp_path / "run", console=quiet)
    text = (tmp_path / "run" / "report.html").read_text()
    section = text.split("Worth labelling next")[1].split("</section>")[0]
    assert "20 drawn from the 27 training images without a label" in section
    assert str(folder) in section
    names = re.findall(r'class="name">([^<]+)<', section)
    assert len(names) == len(set(names)) == 12
    assert all((folder / name).is_file() and name.startswith("unlabelled/") for name in names)
    assert section.count("label unknown") == 12


def test_where_all_are_labelled_none_is_worth_a_label(trained_run: Path) -> None:
    text = (trained_run / "report.html").read_text()
    assert "Every training image has a label in the data already" in text
