"""What a training loop may see."""

from dataclasses import dataclass

import numpy as np

from convergan.data.image_set import Images


@dataclass(frozen=True)
class TrainingData:
    """The training images, and those labels alone that may be learnt from or chosen by.

    It holds no label of a test image, nor of an image that counts as unlabelled: code that is given this,
    and not the `DataSet`, can neither train on them nor choose, stop or tune anything by them.
    """

    images: Images
    """uint8, or float32 in [0, 1], [n, height, width, channels]: all training images; use those that the
    indices below name."""

    labelled: np.ndarray
    """int64 [labels], sorted: indices of the labelled images."""

    labels: np.ndarray
    """int64 [labels]: the class of each of `labelled`."""

    unlabelled: np.ndarray
    """int64 [m], sorted: indices of all images to train on without labels, the labelled ones among them."""

    validation: np.ndarray
    """int64 [v], sorted: indices of images to choose among epochs by, never trained on."""

    validation_labels: np.ndarray
    """int64 [v]: the class of each of `validation`."""

    classes: tuple[str, ...]
    """The name of each class."""
