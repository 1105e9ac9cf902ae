import dataclasses
import pickle

import numpy as np
import pytest

from convergan.data.image_set import data_set_from_arrays
from convergan.data.splits import draw_split
from convergan.data.test_set import TestSet
from convergan.data.training_data import TrainingData
from convergan.errors import UserError

LABELS = np.array([0, 1, 2, 2])


@pytest.fixture
def test_set():
    images = np.zeros((4, 2, 2, 1), dtype=np.uint8)
    return TestSet(images, LABELS.copy(), names=["a", "b", "c", "d"], classes=("x", "y", "z"))


def test_it_counts_what_is_wrong(test_set):
    predictions = np.array([0, 2, 2, 0])
    assert test_set.errors(predictions).tolist() == [False, True, False, True]
    assert test_set.count_errors(predictions) == 2
    # Row: the class; column: the prediction.
    assert test_set.confusion(predictions).tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 1]]
    assert test_set.count_errors(test_set.labels_for_report()) == 0


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.array([0, 1]), r"predictions: expected 4 integers, .*, got int64 \[2\]"),
        (np.zeros(4), r"predictions: expected 4 integers, .*, got float64 \[4\]"),
        (np.zeros((4, 3), int), r"predictions: expected 4 integers, .*, got int64 \[4, 3\]"),
        (np.array([0, 1, 2, 3]), "predictions: expected classes 0 to 2, got 0 to 3"),
        (np.array([0, -1, 2, 2]), "predictions: expected classes 0 to 2, got -1 to 2"),
    ],
)
def test_other_predictions_are_errors(test_set, predictions, message):
    with pytest.raises(UserError, match=message):
        test_set.errors(predictions)


def arrays_within(thing) -> list[np.ndarray]:
    """All arrays that attributes, fields and slots lead to."""
    names = set(getattr(thing, "__slots__", ())) | set(getattr(thing, "__dict__", {}))
    if dataclasses.is_dataclass(thing):
        names |= {field.name for field in dataclasses.fields(thing)}
    values = [getattr(thing, name) for name in names]
    return [value for value in values if isinstance(value, np.ndarray)]


def test_its_labels_are_in_no_attribute(test_set):
    assert not any(np.array_equal(array, LABELS) for array in arrays_within(test_set))
    assert not hasattr(test_set, "__dict__")
    assert not hasattr(test_set, "labels")
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        pickle.dumps(test_set)


def test_changing_the_given_labels_changes_nothing(test_set):
    test_set.labels_for_report()[:] = 0
    assert test_set.count_errors(LABELS) == 0


@pytest.mark.parametrize("own_test", [True, False])
def test_training_data_hold_no_label_but_those_to_learn_from_and_choose_by(own_test):
    images = np.random.default_rng(0).integers(0, 256, (60, 2, 2), dtype=np.uint8)
    labels = np.arange(60) % 3
    test = {"test_images": images, "test_labels": labels} if own_test else {}
    data = data_set_from_arrays(images, labels, **test)
    split = draw_split(data, labels=12, seed=0, validation_share=0.3)
    training = split.training
    assert {field.name for field in dataclasses.fields(TrainingData)} == {
        "images",
        "labelled",
        "labels",
        "unlabelled",
        "validation",
        "validation_labels",
        "classes",
    }
    assert len(training.labels) + len(training.validation_labels) + len(split.held_out) == 12
    assert np.array_equal(training.labels, labels[training.labelled])
    assert np.array_equal(training.validation_labels, labels[training.validation])
    # Nor are they views of an array that has the others too.
    for array in arrays_within(training):
        assert array.base is None or not np.shares_memory(array, data.train.labels)
        assert array.base is None or array.base.shape != data.train.labels.shape
