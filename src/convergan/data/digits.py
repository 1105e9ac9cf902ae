"""scikit-learn's handwritten digits: 1,797 real images that come with a dependency."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from convergan.data.image_set import DataSet, ImageSet, data_set
from convergan.data.names import ChosenNames, RowNames
from convergan.images.decode import pixels

_TEST_IMAGES_PER_CLASS = 50


def open_digits(*, size_px: int | None = None, channels: Literal[1, 3] | None = None) -> DataSet:
    """Open the digits: 1,297 training and 500 test images (50 of each class), always the same, all labelled.

    Grey of 8x8 pixels, the 17 levels of the original spread over 0..255, unless `size_px` or `channels`
    say otherwise. The images' names are the row numbers in scikit-learn.
    """
    from PIL import Image

    table = _table()
    grey = np.rint(table[:, :-1].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    size = None if size_px is None else (size_px, size_px)
    images = np.stack([pixels(Image.fromarray(x), channels=channels, size=size) for x in grey])
    labels = table[:, -1].astype(np.int64)
    generator = np.random.default_rng(0)
    test_rows = np.sort(
        np.concatenate(
            [
                generator.permutation(np.flatnonzero(labels == label))[:_TEST_IMAGES_PER_CLASS]
                for label in range(10)
            ]
        )
    )
    train_rows = np.setdiff1d(np.arange(len(labels)), test_rows)
    names = RowNames([("digits row", len(labels))])
    train, test = (
        ImageSet(images[rows], labels[rows], ChosenNames(names, rows))
        for rows in (train_rows, test_rows)
    )
    return data_set(train, test, [str(digit) for digit in range(10)], source="digits")


def _table() -> np.ndarray:
    """The rows of scikit-learn's file of digits: 64 levels from 0 to 16, and the digit."""
    # Importing scikit-learn, and pandas with it, would take longer than the rest of a start without torch.
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    # Another version may keep the file elsewhere.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
