import numpy as np
import pytest

from convergan.data.image_set import UNLABELLED, data_set_from_arrays
from convergan.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)
COLOUR = np.zeros((6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, -1, 1, 0])


def test_arrays_become_a_data_set_without_being_copied():
    data = data_set_from_arrays(
        IMAGES, LABELS, IMAGES[:2], np.array([1, 2]), classes=["a", "b", "c"]
    )
    assert data.train.images.shape == (6, 4, 5, 1)
    assert np.shares_memory(data.train.images, IMAGES)
    assert data.train.labels.tolist() == LABELS.tolist()
    assert data.train.labels.dtype == np.int64
    assert data.classes == ("a", "b", "c")
    assert data.train.names[4] == "train row 4"
    assert data.test is not None and data.test.labels.tolist() == [1, 2]


def test_classes_are_counted_where_they_are_not_named():
    assert data_set_from_arrays(IMAGES, LABELS).classes == ("0", "1", "2")


def test_without_labels_there_are_no_classes():
    data = data_set_from_arrays(COLOUR)
    assert set(data.train.labels) == {UNLABELLED}
    assert data.classes == ()


def test_the_fingerprint_tells_pixels_labels_and_classes_apart_and_nothing_else():
    other_pixel = IMAGES.copy()
    other_pixel[5, 3, 4] ^= 1
    other_label = LABELS.copy()
    other_label[3] = 0
    kinds = [
        data_set_from_arrays(IMAGES, LABELS),
        data_set_from_arrays(other_pixel, LABELS),
        data_set_from_arrays(IMAGES, other_label),
        data_set_from_arrays(IMAGES, LABELS, classes=["x", "y", "z"]),
        data_set_from_arrays(IMAGES[:4], LABELS[:4], IMAGES[4:], LABELS[4:]),
        data_set_from_arrays(IMAGES.reshape(6, 5, 4), LABELS),
    ]
    assert len({data.fingerprint for data in kinds}) == len(kinds)
    rearranged = data_set_from_arrays(np.asfortranarray(IMAGES), LABELS.astype(np.int8))
    assert rearranged.fingerprint == kinds[0].fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES / 255}, r"images: expected a uint8 array .*, got float64 \[6, 4, 5\]"),
        ({"images": [[1]]}, "images: expected a uint8 array .*, got list"),
        ({"images": IMAGES[0]}, r"images: expected .*, got uint8 \[4, 5\]"),
        (
            {"images": np.zeros((6, 4, 5, 2), np.uint8)},
            r"1 or 3 channels, got uint8 \[6, 4, 5, 2\]",
        ),
        ({"images": IMAGES[:0]}, r"at least one image .*, got uint8 \[0, 4, 5\]"),
        ({"labels": LABELS[:5]}, r"labels: expected 6 integers, .*, got int64 \[5\]"),
        ({"labels": LABELS / 2}, r"labels: expected 6 integers, .*, got float64 \[6\]"),
        ({"labels": LABELS, "classes": ["a", "b"]}, r"labels: expected -1 to 1 .*, got 2 at row 2"),
        ({"labels": LABELS - 1}, r"labels: expected -1 to 1 .*, got -2 at row 3"),
        (
            {"test_images": IMAGES},
            "test_labels: expected a label for each of test_images, got None",
        ),
        ({"test_labels": LABELS}, "test_images: expected the images of test_labels, got None"),
        (
            {"labels": LABELS, "test_images": IMAGES, "test_labels": LABELS},
            "test_labels: expected 0 to 2 .*, got -1 at row 3",
        ),
        (
            {"labels": LABELS, "test_images": COLOUR, "test_labels": LABELS},
            r"test_images: expected images of .* \[4, 5, 1\] as in images, got \[4, 5, 3\]",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        data_set_from_arrays(**{"images": IMAGES, **arguments})
    assert "\n" not in str(caught.value)
