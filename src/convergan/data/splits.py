"""Division of the training images into labelled, validation, held-out and unlabelled ones."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from convergan.data.encoded_source import Source
from convergan.data.image_set import UNLABELLED, DataSet
from convergan.data.names import ChosenNames
from convergan.data.test_set import TestSet
from convergan.data.training_data import TrainingData
from convergan.errors import UserError, quoted
from convergan.recipes.settings import DataSettings

# Streams of random numbers of one seed, one for each draw.
_CHOICE, _TEST, _FOLDS, _VALIDATION = range(4)

_LABELS_TO_HOLD_OUT_ONCE = 200
_FOLDS_OF_FEW_LABELS = 4

_OR_GIVE_A_TEST_SET = "add test images of every class, so that none has to be held out"


@dataclass(frozen=True)
class Split:
    """A data set, divided for one training."""

    training: TrainingData
    """The images and labels for the training loop."""

    test: TestSet | None
    """The data's own test set, else the held-out images; None where there are neither."""

    held_out: np.ndarray
    """Sorted indices, int64, of the training images that are tested on, and so not trained on in any way."""


def number_of_folds(settings: DataSettings, data: DataSet | Source, labels: int | None) -> int:
    """Number of folds for cross-validation; 0: test on the test set, or on a held-out share of the labels.

    Args:
        settings: settings whose `folds`, if set, is the number where the data has no test set.
        data: an open data set, or one whose images are not decoded yet.
        labels: number of labelled images to use, as in `draw_split`.
    """
    available = int((data.train.labels != UNLABELLED).sum())
    count = available if labels is None else labels
    if data.test is not None or count == 0:
        return 0
    if settings.folds is not None:
        return settings.folds
    return _FOLDS_OF_FEW_LABELS if count < _LABELS_TO_HOLD_OUT_ONCE else 0


def draw_split(
    data: DataSet,
    *,
    labels: int | None,
    seed: int,
    validation_share: float = 0.0,
    test_share: float | None = 0.2,
) -> Split:
    """Choose the labels to use, and divide them for testing, validation and training, in this order.

    Where the data has a test set, nothing is held out for testing. Held-out and validation images are among
    the chosen labels: their number is all that a user needs to have. Each share is taken of every
    class, rounded, but at least one image and not all. The same arguments give the same split.

    Args:
        data: an open data set.
        labels: number of labelled images to use in all, the same for each class; a remainder goes to classes
            drawn with the seed. None: all that have a label. 0: none, all images are unlabelled.
        seed: 0 or more.
        validation_share: share of the labels (after testing) used to choose among epochs, 0 to below 1.
        test_share: share of the labels held out where the data has no test set, between 0 and 1. None: hold
            out nothing, as for the final training after cross-validation.

    Raises:
        UserError: fewer labels than classes; a class that has fewer labels than are asked for, or fewer than
            2 where one of them is to be held out; labels of a single class.
    """
    selected = _choose(data, labels, seed)
    held_out = np.empty(0, dtype=np.int64)
    if data.test is None and test_share is not None and len(selected):
        generator = _generator(seed, _TEST)
        _require_two(data, _by_class(data, selected), labels, _OR_GIVE_A_TEST_SET)
        selected, held_out = _hold_out(data, selected, test_share, generator)
    return _divide(data, selected, held_out, seed, validation_share, labels=labels)


def draw_hold_out(
    data: DataSet,
    *,
    labels: int | None,
    seed: int,
    share: float,
    validation_share: float = 0.0,
) -> Split | None:
    """Hold out a share of the labels that `draw_split` chooses, to choose among models.

    A test set of the data makes no difference: `test` of the split are the held-out images. Without one, the
    split is that of `draw_split` with this `test_share`.

    Args:
        data, labels, seed, validation_share: as in `draw_split`.
        share: share of the labels of every class, between 0 and 1.

    Returns:
        The split; None where there is a test set, and a class has a single label, which cannot be held out.

    Raises:
        UserError: as in `draw_split`.
    """
    selected = _choose(data, labels, seed)
    by_class = _by_class(data, selected)
    if data.test is not None and min(map(len, by_class), default=0) < 2:
        return None
    _require_two(data, by_class, labels, _OR_GIVE_A_TEST_SET)
    remaining, held_out = _hold_out(data, selected, share, _generator(seed, _TEST))
    return _divide(data, remaining, held_out, seed, validation_share, labels=labels)


def draw_folds(
    data: DataSet,
    *,
    labels: int | None,
    seed: int,
    folds: int,
    validation_share: float = 0.0,
) -> list[Split]:
    """Divide the labels that `draw_split` chooses with the same arguments, for cross-validation.

    Every label is held out in exactly one fold, as part of its `test`; folds differ in size by at most one,
    and so do the images of a class that they hold out. The images held out are no unlabelled images of
    their fold either. The result is trained on `draw_split(..., test_share=None)`.

    Args:
        data, labels, seed, validation_share: as in `draw_split`.
        folds: 2 or more.

    Raises:
        UserError: as in `draw_split`, or more folds than labels.
    """
    selected = _choose(data, labels, seed)
    generator = _generator(seed, _FOLDS)
    by_class = [generator.permutation(rows) for rows in _by_class(data, selected)]
    # Checked first: labels that pass suffice for the number of folds chosen by default.
    _require_two(data, by_class, labels, _OR_GIVE_A_TEST_SET)
    if not 2 <= folds <= len(selected):
        raise UserError(
            f"data.folds: expected 2 to {len(selected)}, the number of labels, got {folds}"
        )
    # Dealt out like cards, class after class.
    dealt = np.concatenate(by_class)
    splits = []
    for fold in range(folds):
        held_out = np.sort(dealt[fold::folds])
        remaining = np.setdiff1d(selected, held_out)
        splits.append(
            _divide(data, remaining, held_out, seed, validation_share, labels=labels, fold=fold + 1)
        )
    return splits


def _choose(data: DataSet, labels: int | None, seed: int) -> np.ndarray:
    """The training images whose labels are used, sorted."""
    count = len(data.classes)
    available = np.flatnonzero(data.train.labels != UNLABELLED)
    if labels == 0 or (labels is None and count == 0):
        return np.empty(0, dtype=np.int64)
    if count == 1:
        raise UserError(
            f"{data.source}: expected labels of at least 2 classes, got {quoted(data.classes[0])} alone;"
            " label images of another class, or none for a generator alone"
        )
    if labels is None:
        _require_taught(data, available)
        return available
    if len(available) == 0:
        raise UserError(f"labels: expected images that carry a label, got none in {data.source}")
    if labels < count:
        raise UserError(f"labels: expected at least one for each of {count} classes, got {labels}")
    generator = _generator(seed, _CHOICE)
    sizes = np.full(count, labels // count)
    sizes[generator.permutation(count)[: labels % count]] += 1
    by_class = _by_class(data, available)
    if any(len(rows) < size for rows, size in zip(by_class, sizes, strict=True)):
        _refuse_labels(data, by_class, labels)
    selection = [
        generator.permutation(rows)[:size] for rows, size in zip(by_class, sizes, strict=True)
    ]
    return np.sort(np.concatenate(selection))


def _require_taught(data: DataSet, available: np.ndarray) -> None:
    """Check that every class of the test images has labelled training images.

    A class without any images does not affect results.
    """
    if data.test is None:
        return
    untaught = np.setdiff1d(data.test.labels, data.train.labels[available])
    if len(untaught):
        name = quoted(data.classes[untaught[0]])
        suffix = f" and {len(untaught) - 1} more" if len(untaught) > 1 else ""
        raise UserError(
            f"class {name}: expected a labelled training image of each class that has test images, got none"
            f" of {name}{suffix}; label one, or leave out these test images"
        )


def _refuse_labels(data: DataSet, by_class: list[np.ndarray], labels: int) -> NoReturn:
    """Raise the error for too few labels, with the available numbers."""
    fewest, name = min((len(rows), name) for rows, name in zip(by_class, data.classes, strict=True))
    limit = f"at most {fewest * len(by_class):,}: {fewest:,} of each class, as {quoted(name)} has"
    if fewest == 0:
        limit = f"labelled images of each class, and {quoted(name)} has none"
    raise UserError(
        f"labels: expected {limit}, got {labels}; labels None uses all {sum(map(len, by_class)):,}"
    )


def _hold_out(
    data: DataSet, rows: np.ndarray, share: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Take a share of each class out of `rows`; return the remaining and the removed rows, sorted."""
    parts = []
    for members in _by_class(data, rows):
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        parts.append(generator.permutation(members)[:count])
    held_out = np.sort(np.concatenate(parts))
    return np.setdiff1d(rows, held_out), held_out


def _divide(
    data: DataSet,
    labelled: np.ndarray,
    held_out: np.ndarray,
    seed: int,
    validation_share: float,
    *,
    labels: int | None,
    fold: int = 0,
) -> Split:
    """Divide `labelled`, the labels that are not held out, into training and validation."""
    validation = np.empty(0, dtype=np.int64)
    if validation_share > 0 and len(labelled):
        generator = _generator(seed, _VALIDATION, fold)
        _require_two(
            data,
            _by_class(data, labelled),
            labels,
            "set data.validation-share to 0",
            after_testing=True,
        )
        labelled, validation = _hold_out(data, labelled, validation_share, generator)
    all_rows = np.arange(len(data.train))
    numbers = data.train.labels
    training = TrainingData(
        images=data.train.images,
        labelled=labelled,
        labels=numbers[labelled],
        unlabelled=np.setdiff1d(all_rows, np.concatenate([validation, held_out])),
        validation=validation,
        validation_labels=numbers[validation],
        classes=data.classes,
    )
    return Split(training, _test_set(data, held_out), held_out)


def _test_set(data: DataSet, held_out: np.ndarray) -> TestSet | None:
    if len(held_out):
        names = ChosenNames(data.train.names, held_out)
        images, labels = data.train.images[held_out], data.train.labels[held_out]
        return TestSet(images, labels, names=names, classes=data.classes)
    test = data.test
    if test is None:
        return None
    return TestSet(test.images, test.labels, names=test.names, classes=data.classes)


def _by_class(data: DataSet, rows: np.ndarray) -> list[np.ndarray]:
    labels = data.train.labels[rows]
    return [rows[labels == number] for number in range(len(data.classes))]


def _require_two(
    data: DataSet,
    by_class: list[np.ndarray],
    labels: int | None,
    alternative: str,
    *,
    after_testing: bool = False,
) -> None:
    """Check that every class has an image to hold out and one to train on.

    Args:
        data: data set with the names of the classes.
        by_class: the labelled images of each class.
        labels: number of labels as in `draw_split`; where it is set, the message advises to raise it.
        alternative: advice for the message, beside using more labels.
        after_testing: true if images have been held out for testing already.
    """
    purpose = " for training" if after_testing else ""
    advice = "label another one" if labels is None else f"use more labels than {labels}"
    for name, members in zip(data.classes, by_class, strict=True):
        if len(members) < 2:
            raise UserError(
                f"class {quoted(name)}: expected at least 2 labelled images{purpose},"
                f" one to hold out and one to train on, got {len(members)}; {advice}, or {alternative}"
            )


def _generator(seed: int, stream: int, fold: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, fold)))
