"""Summary, before training, of how a run's images were read and of its trainings."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.cells import cell_len, set_cell_size

from convergan.errors import printable
from convergan.page.words import approximate_duration
from convergan.recipes.arm_words import arm_phrase
from convergan.recipes.arms import arm_names, has_arms
from convergan.recipes.members import is_ensemble, member_recipes
from convergan.runs.few_tests import few_tests
from convergan.training.cost import Cost
from convergan.training.memory import memory_limit
from convergan.training.preparation import Preparation
from convergan.training.trainings import trainings_of
from convergan.training.trial import run_seconds
from convergan.units import bytes_in_words

WIDTH = 80
"""Width of the lines in columns, except where names and notes are longer."""

_LONGEST_NAME = 24

_UNBALANCED = 3
"""Ratio of the labels of the commonest class to those of the rarest class from which there is a note."""

_SKIPPED_SHOWN = 5
"""Largest number of unreadable images that the report names."""


def summary_lines(preparation: Preparation) -> list[str]:
    """Three lines: classes, labels and test images; size and colour of the images; the trainings. A warning
    about few test images follows if there is one.

    The first is like `2 classes: five 30, three 30; 50 unlabelled; test 60`. Notes follow on the second line
    or, if they do not fit, each on a line of its own.
    """
    facts = "; ".join(filter(None, (_kind(preparation), _folds(preparation))))
    notes = _notes(preparation)
    joined = "; ".join([facts, *notes])
    lines = [joined] if cell_len(joined) <= WIDTH else [facts, *notes]
    return [_first_line(preparation), *lines, _trainings(preparation), *test_warning(preparation)]


def test_warning(preparation: Preparation) -> list[str]:
    """Lines with a warning if errors are counted on few images, and advice; none if they are enough."""
    data, folds = preparation.data, preparation.folds
    if data.test is not None:
        size = len(data.test)
    else:
        size = sum(len(fold.held_out) for fold in folds) or len(preparation.split.held_out)
    held_out = data.test is None
    warning = few_tests(size, held_out=held_out, folds=preparation.fold_count * held_out)
    return [] if warning is None else [f"warning: {warning.message};", warning.advice]


def dry_run_lines(
    preparation: Preparation, seconds: float | None, device: torch.device, processes: int = 1
) -> list[str]:
    """Lines with the memory and the time that training would take, and a note that nothing was trained.

    Args:
        preparation: images and recipe.
        seconds: duration of a step; None if a plan has stated the time.
        device: device to train on.
        processes: number of processes to train together.
    """
    cost = _cost(preparation)
    limit = memory_limit(device, processes)
    limit_in_words = "" if limit is None else f", of the {bytes_in_words(limit[0])} that {limit[1]}"
    memory = f"memory: about {bytes_in_words(cost.memory_bytes)} plus the images{limit_in_words}"
    dry_run_note = "nothing was trained (--dry-run)"
    if seconds is None:
        return [memory, dry_run_note]
    trainings = trainings_of(preparation)
    steps = preparation.recipe.members * sum(training.steps for training in trainings)
    estimated = seconds_of_trainings(preparation, seconds)
    return [
        memory,
        f"time: about {approximate_duration(estimated)} on this machine at its present load, for "
        f"{_count(steps, 'step', 'steps')} of about {seconds:.2g} s",
        dry_run_note,
    ]


def seconds_of_trainings(preparation: Preparation, seconds: float) -> float:
    """The duration of all trainings and tests of a run without arms, in seconds, from that of a step."""
    members = preparation.recipe.members
    trainings = trainings_of(preparation)
    tests = [training.split.test for training in trainings if training.split.test is not None]
    return run_seconds(
        seconds,
        _cost(preparation),
        steps=members * sum(training.steps for training in trainings),
        epochs=preparation.recipe.epochs,
        test_size=members * sum(map(len, tests)),
    )


def _cost(preparation: Preparation) -> Cost:
    assert preparation.cost is not None, "nothing is left to train"
    return preparation.cost


def data_rows(preparation: Preparation) -> list[tuple[str, str]]:
    """Rows (name, value) of a table with the facts of `summary_lines` and more."""
    data, training = preparation.data, preparation.split.training
    counts = _labels_of_class(preparation)
    rows = [("images from", printable(data.source))]
    if data.classes:
        rows.append(
            (
                f"labels of {_count(len(data.classes), 'class', 'classes')}",
                _labels_in_words(data.classes, counts, 1000),
            )
        )
    rows += [
        ("labels used", f"{int(counts.sum()):,}" if data.classes else "none"),
        ("unlabelled images", f"{unlabelled_size(preparation):,}"),
        ("training images in all", f"{len(data.train):,}"),
        ("tested on", _test(preparation).removeprefix("test ")),
    ]
    if len(training.validation):
        rows.append(("epochs chosen by", _validation(preparation).removeprefix("validation ")))
    rows += [
        ("size and colour", _kind(preparation)),
        ("trainings", _trainings(preparation, arm_phrase)),
    ]
    rows += [("note", note) for note in _notes(preparation)]
    rows += [
        ("not readable", printable(f"{image.name}: {image.reason}"))
        for image in data.skipped[:_SKIPPED_SHOWN]
    ]
    return rows


def unlabelled_size(preparation: Preparation) -> int:
    """Number of training images whose label is unknown or not used."""
    split = preparation.split
    labelled_count = (
        len(split.training.labelled) + len(split.training.validation) + len(split.held_out)
    )
    return len(preparation.data.train) - labelled_count


def _first_line(preparation: Preparation) -> str:
    data = preparation.data
    unlabelled = unlabelled_size(preparation)
    end = f"; {unlabelled:,} unlabelled" if unlabelled else "; none unlabelled"
    if not data.classes:
        return f"no labels: {_count(len(data.train), 'image', 'images')} to learn a generator from"
    end += f"; {_test(preparation)}"
    if len(preparation.split.training.validation):
        end += f"; {_validation(preparation)}"
    start = f"{_count(len(data.classes), 'class', 'classes')}: "
    width = WIDTH - cell_len(start + end)
    return start + _labels_in_words(data.classes, _labels_of_class(preparation), width) + end


def _labels_in_words(classes: Sequence[str], counts: np.ndarray, width: int) -> str:
    """Labels per class, `five (30), three (30)`; if that is too wide, the first and the range of all."""
    lowest, highest = int(counts.min()), int(counts.max())
    range_of_all = f"each {lowest:,}" if lowest == highest else f"each {lowest:,} to {highest:,}"
    listing = ""
    for place, (name, number) in enumerate(zip(classes, counts, strict=True)):
        longer = f"{listing}{', ' if listing else ''}{_short(name)} ({number:,})"
        is_last = place == len(classes) - 1
        if cell_len(longer if is_last else f"{longer}, ..., {range_of_all}") > width:
            return f"{listing}, ..., {range_of_all}" if listing else range_of_all
        listing = longer
    return listing


def _short(name: str) -> str:
    """A class's name on one line, cut to `_LONGEST_NAME` columns."""
    name = printable(name)
    if cell_len(name) <= _LONGEST_NAME:
        return name
    return set_cell_size(name, _LONGEST_NAME - 3).rstrip() + "..."


def _labels_of_class(preparation: Preparation) -> np.ndarray:
    """Numbers of labels of each class that are used for training, validation or tests, int64 [classes]."""
    data, split = preparation.data, preparation.split
    indices = np.concatenate([split.training.labelled, split.training.validation, split.held_out])
    return np.bincount(data.train.labels[indices], minlength=len(data.classes))


def _test(preparation: Preparation) -> str:
    data, split, folds = preparation.data, preparation.split, preparation.folds
    if data.test is not None:
        return f"test {len(data.test):,}"
    if len(folds) == 1:
        return f"test {len(folds[0].held_out):,} of the labels"
    if folds:
        return f"test in {len(folds)} folds"
    if len(split.held_out):
        return f"test {len(split.held_out):,} of the labels"
    return "no test"


def _validation(preparation: Preparation) -> str:
    return f"validation {len(preparation.split.training.validation):,} of the labels"


def _kind(preparation: Preparation) -> str:
    _, height, width, channels = preparation.data.train.images.shape
    resized = ", resized" if preparation.recipe.data.size_px is not None else ""
    return f"{width}x{height} px{resized}, {'grey' if channels == 1 else 'colour'}"


def _folds(preparation: Preparation) -> str:
    if not preparation.folds:
        return ""
    sizes = [len(fold.held_out) for fold in preparation.folds]
    if len(sizes) == 1:
        choosing = preparation.data.test is not None
        return f"{sizes[0]} labels held out to choose the arm" if choosing else ""
    low, high = min(sizes), max(sizes)
    return f"{len(sizes)} folds of {low if low == high else f'{low} to {high}'} labels each"


def _notes(preparation: Preparation) -> list[str]:
    notes = [printable(note) for note in preparation.data.notes]
    if preparation.data.skipped:
        notes.append(
            f"{_count(len(preparation.data.skipped), 'image', 'images')} skipped as unreadable"
        )
    if unbalanced := _unbalanced(preparation):
        notes.append(unbalanced)
    return notes


def _unbalanced(preparation: Preparation) -> str:
    """Advice if one class has many times the labels of another and all labels have the same weight."""
    recipe, classes = preparation.recipe, preparation.data.classes
    if not classes or recipe.objective.supervised.class_weights != "none":
        return ""
    counts = _labels_of_class(preparation)
    rarest, commonest = int(counts.argmin()), int(counts.argmax())
    if not counts[rarest] or counts[commonest] < _UNBALANCED * counts[rarest]:
        return ""
    return (
        f"unbalanced: {_short(classes[rarest])} has {int(counts[rarest]):,} labels, "
        f"{_short(classes[commonest])} {int(counts[commonest]):,}; "
        "--objective.supervised.class-weights balanced compensates for it"
    )


def _trainings(preparation: Preparation, arm_label: Callable[[str], str] = str) -> str:
    folds, recipe = len(preparation.folds), preparation.recipe
    if has_arms(recipe):
        arms = arm_names(recipe)
        trainings = _count(len(trainings_of(preparation)), "training", "trainings")
        return f"{_count(len(arms), 'arm', 'arms')}: {', '.join(map(arm_label, arms))}; {trainings}"
    epochs = _count(recipe.epochs, "epoch", "epochs")
    baseline = "with a baseline" if not folds else "each with a baseline"
    if not recipe.baseline:
        baseline = "no baseline"
    if is_ensemble(recipe):
        seeds = [member.seed for member in member_recipes(recipe)]
        alone = _trainings(replace(preparation, recipe=member_recipes(recipe)[0]))
        return f"{len(seeds)} members, of seeds {seeds[0]} to {seeds[-1]}: each {alone}"
    if folds:
        return f"{folds + 1} trainings of {epochs}: {folds} folds, then the result; {baseline}"
    return f"1 training of {epochs}; {baseline}"


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"
