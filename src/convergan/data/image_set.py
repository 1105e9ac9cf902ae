"""An open data set: decoded images, their labels and their names."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convergan.data.names import RowNames
from convergan.data.stored_images import StoredImages
from convergan.errors import UserError
from convergan.images.read_images import SkippedImage
from convergan.images.utf8 import require_utf8

UNLABELLED = -1
"""The label of an image whose class is unknown."""

Images = np.ndarray | StoredImages
"""Pixels, uint8 [n, height, width, channels], 1 or 3 channels, in memory or read from the disk on access."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, with labels and names."""

    images: Images
    """Pixels, uint8 [n, height, width, channels], 1 or 3 channels."""

    labels: np.ndarray
    """Class numbers, int64 [n]; `UNLABELLED` where unknown."""

    names: Sequence[str]
    """Origin of each image: `cat/001.png`, `train-00000.parquet row 17` (rows count from 0)."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class DataSet:
    """Training images, some of them labelled, and perhaps a test set."""

    train: ImageSet

    test: ImageSet | None
    """Test images, of the training images' size and channels; all are labelled."""

    classes: tuple[str, ...]
    """The name of each class; empty where nothing is labelled."""

    skipped: tuple[SkippedImage, ...]

    source: str
    """The folder or the hub's id that the images came from, or `digits`, or `arrays`."""

    fingerprint: str
    """SHA-256 of all pixels, labels and classes: the same on every machine and after any copying."""

    notes: tuple[str, ...] = ()
    """Notes on files that were skipped and on likely mistakes in the layout: a sentence each, such
    as `4 files skipped: .heic 3, .txt 1`."""


def data_set_from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    test_images: np.ndarray | None = None,
    test_labels: np.ndarray | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> DataSet:
    """A data set of images that are in memory already; the arrays are used as they are, not copied.

    Args:
        images: uint8 [n, height, width] or [n, height, width, channels], 1 or 3 channels.
        labels: integers [n], 0 to the number of classes - 1, or -1 for unlabelled. None: all unlabelled.
        test_images: like `images`, of the same height, width and channels.
        test_labels: integers, one for each of `test_images`, none of them -1.
        classes: names of the classes. None: "0", "1" and so on up to the largest of `labels`.

    Raises:
        UserError: an array of another type, shape or length, or a label outside the classes.

    Example:
        >>> import numpy as np
        >>> from convergan import data_set_from_arrays
        >>> images = np.zeros((100, 8, 8), dtype=np.uint8)
        >>> labels = np.where(np.arange(100) < 20, np.arange(100) % 2, -1)
        >>> data = data_set_from_arrays(images, labels, classes=["cat", "dog"])
        >>> len(data.train), data.classes
        (100, ('cat', 'dog'))
    """
    train_pixels = _pixels("images", images)
    train_labels = _labels("labels", labels, len(train_pixels))
    if classes is None:
        classes = [str(number) for number in range(int(train_labels.max()) + 1)]
    require_utf8(classes, "a class")
    _require_known("labels", train_labels, len(classes), lowest=UNLABELLED)
    train = ImageSet(train_pixels, train_labels, RowNames([("train row", len(train_pixels))]))
    test = None
    if test_images is not None:
        test_pixels = _pixels("test_images", test_images)
        if test_pixels.shape[1:] != train_pixels.shape[1:]:
            raise UserError(
                "test_images: expected images of [height, width, channels]"
                f" {list(train_pixels.shape[1:])} as in images, got {list(test_pixels.shape[1:])}"
            )
        if test_labels is None:
            raise UserError("test_labels: expected a label for each of test_images, got None")
        test_numbers = _labels("test_labels", test_labels, len(test_pixels))
        _require_known("test_labels", test_numbers, len(classes), lowest=0)
        test = ImageSet(test_pixels, test_numbers, RowNames([("test row", len(test_pixels))]))
    elif test_labels is not None:
        raise UserError("test_images: expected the images of test_labels, got None")
    return data_set(train, test, classes, source="arrays")


def data_set(
    train: ImageSet,
    test: ImageSet | None,
    classes: Sequence[str],
    *,
    source: str,
    skipped: Sequence[SkippedImage] = (),
    pixels_sha256: str | None = None,
    notes: Sequence[str] = (),
) -> DataSet:
    """Put a `DataSet` together; `pixels_sha256` is the hash of the images, if it is known already."""
    sets = [train] if test is None else [train, test]
    if not any((part.labels != UNLABELLED).any() for part in sets):
        classes = ()
    facts = {
        "pixels": pixels_sha256 or hash_pixels(*(part.images for part in sets)),
        "shapes": [part.images.shape for part in sets],
        "labels": [
            hashlib.sha256(part.labels.astype("<i8").tobytes()).hexdigest() for part in sets
        ],
        "classes": list(classes),
    }
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return DataSet(train, test, tuple(classes), tuple(skipped), source, fingerprint, tuple(notes))


def hash_pixels(*arrays: Images) -> str:
    """SHA-256 of uint8 arrays, one after the other, read 1,024 images at a time."""
    digest = hashlib.sha256()
    for images in arrays:
        for start in range(0, len(images), 1024):
            digest.update(np.ascontiguousarray(images[start : start + 1024]).data)
    return digest.hexdigest()


def _pixels(name: str, images: Any) -> np.ndarray:
    expected = (
        f"{name}: expected a uint8 array [n, height, width] or [n, height, width, channels]"
        " with at least one image and 1 or 3 channels"
    )
    if not isinstance(images, np.ndarray):
        raise UserError(f"{expected}, got {type(images).__name__}")
    with_channels = images[..., None] if images.ndim == 3 else images
    if (
        images.dtype != np.uint8
        or with_channels.ndim != 4
        or with_channels.size == 0
        or with_channels.shape[3] not in (1, 3)
    ):
        raise UserError(f"{expected}, got {images.dtype} {list(images.shape)}")
    return with_channels


def _labels(name: str, labels: Any, count: int) -> np.ndarray:
    if labels is None:
        return np.full(count, UNLABELLED, dtype=np.int64)
    numbers = np.asarray(labels)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        raise UserError(
            f"{name}: expected {count} integers, one for each image,"
            f" got {numbers.dtype} {list(numbers.shape)}"
        )
    return numbers.astype(np.int64)


def _require_known(name: str, labels: np.ndarray, classes: int, *, lowest: int) -> None:
    wrong_rows = np.flatnonzero((labels < lowest) | (labels >= classes))
    if len(wrong_rows):
        row = int(wrong_rows[0])
        raise UserError(
            f"{name}: expected {lowest} to {classes - 1} ({classes} classes),"
            f" got {int(labels[row])} at row {row}"
        )
