"""The summary of the images before training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, Recipe
from convergan.training.manifest import new_manifest
from convergan.training.preparation import Preparation, prepare
from convergan.training.summary import data_rows, summary_lines
from convergan.training.trainings import trainings_of
from drawn_images import write_folder
from support import FORMER_FOLDER, process_of

HORSE = "\u99ac"
"""A character that is two columns wide."""


def images(count: int) -> np.ndarray:
    """Grey images of 8x8 px."""
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)


def data_of(
    labelled: dict[str, int], *, unlabelled: int = 0, test: int = 0, notes: tuple[str, ...] = ()
) -> DataSet:
    labels = np.repeat([*range(len(labelled)), -1], [*labelled.values(), unlabelled])
    test_labels = np.arange(test) % len(labelled) if test else None
    data = data_set_from_arrays(
        images(len(labels)),
        labels,
        images(test) if test else None,
        test_labels,
        classes=list(labelled),
    )
    return replace(data, notes=notes)


def prepared(data: DataSet, recipe: Recipe | None = None, **settings: float) -> Preparation:
    recipe = recipe or replace(PRESETS["digits"], labels=None)
    return prepare(replace(recipe, data=DataSettings(**settings)), data, processes=1)  # type: ignore[arg-type]


def test_classes_labels_unlabelled_and_test_images_stand_in_the_first_line() -> None:
    lines = summary_lines(prepared(data_of({"five": 30, "three": 30}, unlabelled=50, test=60)))
    assert lines == [
        "2 classes: five (30), three (30); 50 unlabelled; test 60",
        "8x8 px, grey",
        "1 training of 100 epochs; with a baseline",
    ]


def test_labels_that_are_split_are_counted_as_such() -> None:
    data = data_of({"five": 30, "three": 30})
    first, second, third = summary_lines(prepared(data))
    assert first == "2 classes: five (30), three (30); none unlabelled; test in 4 folds"
    assert second == "8x8 px, grey; 4 folds of 15 labels each"
    assert third == "5 trainings of 100 epochs: 4 folds, then the result; each with a baseline"
    first, _, third, *_ = summary_lines(prepared(data, folds=0, validation_share=0.25))
    assert first == (
        "2 classes: each 30; none unlabelled; test 12 of the labels; validation 12 of the labels"
    )
    assert third.startswith("1 training of")


def test_a_class_with_few_labels_beside_another_is_named_with_what_makes_up_for_it() -> None:
    data = data_of({"a": 30, "b": 31, "c": 90}, test=60)
    recipe = replace(PRESETS["digits"], labels=None)
    *_, note, _ = summary_lines(prepared(data, recipe))
    assert note == (
        "unbalanced: a has 30 labels, c 90; "
        "--objective.supervised.class-weights balanced compensates for it"
    )
    objective = recipe.objective
    weighted = objective.with_term(replace(objective.supervised, class_weights="balanced"))
    assert not any(
        "unbalanced" in line
        for line in summary_lines(prepared(data, replace(recipe, objective=weighted)))
    )
    nearly = data_of({"a": 30, "b": 31, "c": 89}, test=60)
    assert not any("unbalanced" in line for line in summary_lines(prepared(nearly, recipe)))


def test_labels_that_are_not_used_count_as_unlabelled() -> None:
    recipe = replace(PRESETS["digits"], labels=20)
    first, *_ = summary_lines(prepared(data_of({"a": 30, "b": 40}, unlabelled=5, test=4), recipe))
    assert first == "2 classes: a (10), b (10); 55 unlabelled; test 4"


@pytest.mark.parametrize(
    ("labelled", "line"),
    [
        (
            {f"class-{number:04d}": 2 + number % 2 for number in range(1000)},
            "1,000 classes: class-0000 (2), ..., each 2 to 3; 7 unlabelled; test 3",
        ),
        ({HORSE * 30: 2, "dog": 2}, f"2 classes: {HORSE * 10}... (2), dog (2); 7 unlabelled; test 3"),
        ({"[red]\x1b[1m": 2, "dog": 2}, "2 classes: [red]\\x1b[1m (2), dog (2); 7 unlabelled; test 3"),
    ],
)  # fmt: skip
def test_many_and_long_names_fit_in_80_columns(labelled: dict[str, int], line: str) -> None:
    first, *_ = summary_lines(prepared(data_of(labelled, unlabelled=7, test=3), folds=0))
    assert first == line and cell_len(first) <= 80


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    note = "4 files skipped: .heic 3, .txt 1"
    lines = summary_lines(prepared(data_of({"a": 5, "b": 5}, test=2, notes=(note,))))
    assert lines[1] == f"8x8 px, grey; {note}"
    long = "frogs and Frog look like one class of which " + "the name was written twice " * 2
    lines = summary_lines(prepared(data_of({"a": 5, "b": 5}, test=2, notes=(note, long))))
    assert lines[1:4] == ["8x8 px, grey", note, long]
    folder = write_folder(tmp_path / "images", labelled=4, test=2)
    (folder / "circles" / "broken.png").write_bytes(b"no image")
    settings = DataSettings(path=folder, cache=tmp_path / "cache", skip_unreadable=True, size_px=16)
    recipe = replace(FORMER_FOLDER, data=settings)
    preparation = prepare(recipe, None, processes=1)
    assert summary_lines(preparation)[1] == (
        "16x16 px, resized, colour; 1 image skipped as unreadable"
    )
    assert ("not readable", "circles/broken.png: not an image of a known format") in data_rows(
        preparation
    )


def test_without_labels_a_generator_is_announced() -> None:
    preparation = prepared(data_set_from_arrays(images(9)))
    assert summary_lines(preparation)[0] == "no labels: 9 images to learn a generator from"
    assert summary_lines(preparation)[2] == "1 training of 100 epochs; no baseline"


def test_the_table_and_the_manifest_hold_the_same_facts() -> None:
    preparation = prepared(data_of({"five": 30, "three": 30}, unlabelled=50, notes=("a note",)))
    assert dict(data_rows(preparation)) == {
        "images from": "arrays",
        "labels of 2 classes": "five (30), three (30)",
        "labels used": "60",
        "unlabelled images": "50",
        "training images in all": "110",
        "tested on": "in 4 folds",
        "size and colour": "8x8 px, grey",
        "trainings": "5 trainings of 100 epochs: 4 folds, then the result; each with a baseline",
        "note": "a note",
    }
    manifest = new_manifest(preparation, process_of())
    assert (manifest.unlabelled_size, manifest.folds, manifest.trainings) == (50, 4, 5)
    assert manifest.notes == ["a note"]


def test_steps_are_those_that_the_loop_takes() -> None:
    """A fold's unlabelled images are fewer by those it holds out."""
    recipe = replace(PRESETS["digits"], labels=None, epochs=3, batch_size=10, min_steps_per_epoch=2)
    preparation = prepared(data_of({"a": 20, "b": 20}, unlabelled=5), recipe)
    steps = [training.steps for training in trainings_of(preparation)]
    assert steps == [3 * 4] * 4 + [3 * 5]
    assert new_manifest(preparation, process_of()).steps == 63


def test_few_test_images_are_warned_of_before_training() -> None:
    folder = replace(PRESETS["folder"], labels=None)
    recipe = replace(folder, data=replace(folder.data, flip=False))
    labelled = {"cat": 20, "dog": 20}
    *_, warning, advice = summary_lines(prepare(recipe, data_of(labelled), processes=1))
    assert warning.startswith("warning: 8 held-out labels measure an error rate only to about")
    assert "--data.folds 4" in advice and max(map(cell_len, (warning, advice))) <= 80
    in_folds = replace(recipe, data=replace(recipe.data, folds=4))
    *_, warning, advice = summary_lines(prepare(in_folds, data_of(labelled), processes=1))
    assert warning.startswith("warning: 40 held-out labels") and "--data.folds" not in advice
    *_, warning, advice = summary_lines(prepare(recipe, data_of(labelled, test=9), processes=1))
    assert warning.startswith("warning: 9 test images") and "more test images" in advice
    for data in (data_of(labelled, test=60), data_of({"cat": 200, "dog": 200})):
        assert "warning" not in " ".join(summary_lines(prepare(recipe, data, processes=1)))
