from dataclasses import replace

import numpy as np
import pytest

from convergan.data.image_set import data_set_from_arrays
from convergan.data.splits import draw_folds, draw_hold_out, draw_split, number_of_folds
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings

CLASSES = ("ant", "bee", "cow")


def data_of(labels, with_test=False, classes=CLASSES):
    labels = np.asarray(labels)
    images = np.zeros((len(labels), 2, 2), dtype=np.uint8)
    images[:, 0, 0] = np.arange(len(labels))
    test = {"test_images": images[:9], "test_labels": np.arange(9) % 3} if with_test else {}
    return data_set_from_arrays(images, labels, classes=classes, **test)


@pytest.fixture
def labelled():
    """150 images: 30, 50 and 40 of the classes, shuffled, and 30 unlabelled."""
    labels = np.repeat([0, 1, 2, -1], [30, 50, 40, 30])
    return np.random.default_rng(3).permutation(labels)


def counts(labels) -> list[int]:
    return np.bincount(labels, minlength=3).tolist()


def test_labels_are_balanced_and_all_images_are_unlabelled_images(labelled):
    split = draw_split(data_of(labelled, with_test=True), labels=12, seed=0)
    training = split.training
    assert counts(training.labels) == [4, 4, 4]
    assert np.array_equal(labelled[training.labelled], training.labels)
    assert np.array_equal(training.labelled, np.unique(training.labelled))
    assert np.array_equal(training.unlabelled, np.arange(150))
    assert len(split.held_out) == len(training.validation) == 0
    assert split.test is not None and len(split.test) == 9


def test_a_remainder_goes_to_classes_drawn_with_the_seed(labelled):
    data = data_of(labelled, with_test=True)
    class_counts = {
        tuple(counts(draw_split(data, labels=13, seed=seed).training.labels)) for seed in range(20)
    }
    assert class_counts == {(5, 4, 4), (4, 5, 4), (4, 4, 5)}


def test_without_a_number_all_labels_are_used(labelled):
    split = draw_split(data_of(labelled, with_test=True), labels=None, seed=0)
    assert counts(split.training.labels) == [30, 50, 40]


def test_members_of_an_ensemble_share_their_labels_and_other_seeds_do_not(labelled):
    data = data_of(labelled)
    draws = [draw_split(data, labels=30, seed=seed, validation_share=0.2) for seed in (4, 4, 5)]
    for name in ("labelled", "validation", "unlabelled"):
        first, second, third = (getattr(draw.training, name) for draw in draws)
        assert np.array_equal(first, second)
        assert not np.array_equal(first, third)


def test_no_image_has_two_uses(labelled):
    split = draw_split(data_of(labelled), labels=60, seed=0, validation_share=0.25, test_share=0.2)
    training = split.training
    uses = [training.labelled, training.validation, split.held_out]
    assert counts(labelled[split.held_out]) == [4, 4, 4]
    assert counts(training.validation_labels) == [4, 4, 4]
    assert counts(training.labels) == [12, 12, 12]
    assert len(np.unique(np.concatenate(uses))) == 60
    unseen = np.concatenate([training.validation, split.held_out])
    assert np.array_equal(training.unlabelled, np.setdiff1d(np.arange(150), unseen))


def test_images_held_out_are_the_test_set(labelled):
    data = data_of(labelled)
    split = draw_split(data, labels=None, seed=1)
    test = split.test
    assert test is not None
    assert np.array_equal(test.images, data.train.images[split.held_out])
    assert list(test.names) == [f"train row {row}" for row in split.held_out]
    assert test.count_errors(labelled[split.held_out]) == 0
    assert counts(labelled[split.held_out]) == [6, 10, 8]


def test_a_share_takes_at_least_one_of_each_class_and_leaves_one():
    data = data_of([0, 0, 1, 1, 2, 2])
    for share in (0.01, 0.99):
        split = draw_split(data, labels=None, seed=0, test_share=share)
        assert (
            counts(split.training.labels) == counts(data.train.labels[split.held_out]) == [1, 1, 1]
        )


def test_nothing_is_held_out_for_the_final_training(labelled):
    split = draw_split(data_of(labelled), labels=30, seed=0, test_share=None)
    assert split.test is None and len(split.held_out) == 0
    assert len(split.training.labelled) == 30


@pytest.mark.parametrize("labels", [None, 0])
def test_without_labels_all_is_unlabelled(labels):
    data = data_of([-1] * 5) if labels is None else data_of([0, 1, 2, 0, 1])
    training = draw_split(data, labels=labels, seed=0).training
    assert len(training.labelled) == len(training.labels) == 0
    assert training.unlabelled.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("labels", [None, 31])
def test_folds_hold_out_every_label_once(labelled, labels):
    data = data_of(labelled)
    splits = draw_folds(data, labels=labels, seed=2, folds=4)
    final = draw_split(data, labels=labels, seed=2, test_share=None).training
    held_out = np.concatenate([split.held_out for split in splits])
    assert np.array_equal(np.sort(held_out), final.labelled)
    sizes = [len(split.held_out) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    by_class = np.array([counts(labelled[split.held_out]) for split in splits])
    assert (by_class.max(axis=0) - by_class.min(axis=0) <= 1).all()
    for split in splits:
        training = split.training
        assert np.array_equal(
            np.sort(np.concatenate([training.labelled, split.held_out])), final.labelled
        )
        assert np.array_equal(training.unlabelled, np.setdiff1d(np.arange(150), split.held_out))
        assert split.test is not None
        assert split.test.count_errors(labelled[split.held_out]) == 0


def test_folds_validate_on_labels_of_their_own(labelled):
    for split in draw_folds(data_of(labelled), labels=60, seed=0, folds=3, validation_share=0.2):
        training = split.training
        assert counts(training.validation_labels) == [3, 3, 3]
        indices = np.concatenate([training.labelled, training.validation, split.held_out])
        assert len(np.unique(indices)) == 60
        assert not np.isin(training.validation, training.unlabelled).any()


def test_the_draw_is_written_down():
    # A change of it, by us or by NumPy, would change what every published number was measured on.
    split = draw_split(data_of(np.arange(30) % 3), labels=6, seed=7, test_share=None)
    assert split.training.labelled.tolist() == [6, 11, 18, 19, 22, 23]


@pytest.mark.parametrize("with_test", [True, False])
def test_labels_are_held_out_of_each_class_to_choose_by(labelled, with_test):
    data = data_of(labelled, with_test=with_test)
    split = draw_hold_out(data, labels=30, seed=4, share=0.2)
    assert counts(labelled[split.held_out]) == [2, 2, 2]
    # They are tested on, whether there is a test set or not, and trained on in no way.
    assert np.array_equal(split.test.images, data.train.images[split.held_out])
    assert counts(split.training.labels) == [8, 8, 8]
    assert not np.intersect1d(split.held_out, split.training.unlabelled).size
    every = draw_split(data, labels=30, seed=4, test_share=None).training.labelled
    union = np.union1d(split.held_out, split.training.labelled)
    assert np.array_equal(union, every)


def test_a_single_label_of_a_class_is_not_held_out():
    labels = [0, 1, 2, *[-1] * 7]
    assert draw_hold_out(data_of(labels, with_test=True), labels=None, seed=0, share=0.2) is None
    with pytest.raises(UserError, match="expected at least 2 labelled images"):
        draw_hold_out(data_of(labels), labels=None, seed=0, share=0.2)


def test_how_many_folds(labelled):
    data, automatic = data_of(labelled), DataSettings()
    assert number_of_folds(automatic, data, None) == 4  # 120 labels
    assert number_of_folds(automatic, data, 199) == 4
    assert number_of_folds(automatic, data, 200) == 0
    assert number_of_folds(DataSettings(folds=0), data, 20) == 0
    assert number_of_folds(DataSettings(folds=7), data, 500) == 7
    assert number_of_folds(automatic, data_of(labelled, with_test=True), 20) == 0
    assert number_of_folds(automatic, data_of([-1] * 5), None) == 0
    assert number_of_folds(automatic, data, 0) == 0


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        ([0, 1, 2], {"labels": 2}, "labels: expected at least one for each of 3 classes, got 2"),
        (
            [0, 0, 1, 2, 2],
            {"labels": 6},
            "labels: expected at most 3: 1 of each class, as 'bee' has, got 6; labels None uses all 5",
        ),
        ([-1, -1], {"labels": 6}, "labels: expected images that carry a label, got none in arrays"),
        (
            [0, 0, 1, 2, 2],
            {"labels": None},
            "class 'bee': expected at least 2 labelled images, .*, got 1; label another one, or add test",
        ),
        (
            [0, 0, 1, 1, 2, 2],
            {"labels": None, "validation_share": 0.1},
            "class 'ant': expected at least 2 labelled .*, got 1; label another one, or set .* to 0",
        ),
    ],
)
def test_too_few_labels_are_named(labels, arguments, message):
    with pytest.raises(UserError, match=message):
        draw_split(data_of(labels), seed=0, **arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0, 2, *[-1] * 6], "class 'bee': expected a labelled .*, got none of 'bee'; label one"),
        ([-1] * 9, "class 'ant': expected a labelled .*, got none of 'ant' and 2 more; label"),
    ],
)
def test_a_class_of_test_images_that_nothing_teaches_is_named(labels, message):
    with pytest.raises(UserError, match=message):
        draw_split(data_of(labels, with_test=True), labels=None, seed=0)


def test_a_class_without_any_image_is_let_be():
    data = data_of([0, 0, 1, *[-1] * 6], with_test=True)
    mask = data.test.labels != 2
    test = replace(data.test, images=data.test.images[mask], labels=data.test.labels[mask])
    split = draw_split(replace(data, test=test), labels=None, seed=0)
    assert counts(split.training.labels) == [2, 1, 0]


def test_a_single_class_is_no_classification():
    with pytest.raises(
        UserError, match="arrays: expected labels of at least 2 classes, got 'one' alone"
    ):
        draw_split(data_of([0, 0, -1], classes=("one",)), labels=None, seed=0)


@pytest.mark.parametrize(
    ("labels", "folds", "message"),
    [
        ([0, 0, 1, 1, 2, 2], 7, r"data\.folds: expected 2 to 6, the number of labels, got 7"),
        ([0, 0, 1, 2, 2], 2, "class 'bee': expected at least 2 labelled images, .* or add test"),
    ],
)
def test_impossible_folds_are_named(labels, folds, message):
    with pytest.raises(UserError, match=message):
        draw_folds(data_of(labels), labels=None, seed=0, folds=folds)


def test_whoever_has_enough_labels_has_enough_for_the_folds_that_nobody_asked_for():
    for labels in ([0, 1], [0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1, 2, 2]):
        data = data_of(labels)
        folds = number_of_folds(DataSettings(), data, None)
        assert folds == 4
        try:
            draw_folds(data, labels=None, seed=0, folds=folds)
        except UserError as problem:
            # The message says what can be done, and names no setting.
            assert "data.folds" not in str(problem) and "label another one, or" in str(problem)
            assert min(labels.count(label) for label in labels) < 2 or labels.count(2) == 0


def test_a_number_of_labels_that_does_not_fit_is_told_what_does():
    data = data_of([0] * 5 + [1] * 3 + [2] * 9)
    with pytest.raises(UserError) as caught:
        draw_split(data, labels=17, seed=0)
    assert str(caught.value) == (
        "labels: expected at most 9: 3 of each class, as 'bee' has, got 17; labels None uses all 17"
    )
    draw_split(data, labels=9, seed=0)
    with pytest.raises(UserError, match="labelled images of each class, and 'cow' has none, got 6"):
        draw_split(data_of([0, 0, 1, 1]), labels=6, seed=0)
