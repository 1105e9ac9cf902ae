"""Data that a training loop may see."""

from dataclasses import dataclass

import numpy as np

from convergan.data.image_set import Images
from convergan.errors import UserError


@dataclass(frozen=True)
class TrainingData:
    """The training images, and only those labels that may be used for training or model selection.

    It holds no label of a test image, nor of an image that counts as unlabelled: code that gets this, and not
    the `DataSet`, can neither train on such labels nor choose, stop or tune anything by them.

    Raises:
        UserError: an array is of another type, shape or range.
    """

    images: Images
    """All training images, uint8 or float32 in [0, 1], [n, height, width, channels], to be indexed by the
    attributes below."""

    labelled: np.ndarray
    """Sorted indices of the labelled images, int64 [labels]."""

    labels: np.ndarray
    """Classes of the images `labelled`, int64 [labels]."""

    unlabelled: np.ndarray
    """Sorted indices of all images to train on without labels, the labelled ones included, int64 [m]."""

    validation: np.ndarray
    """Sorted indices of the images used to choose among epochs, never trained on, int64 [v]."""

    validation_labels: np.ndarray
    """Classes of the images `validation`, int64 [v]."""

    classes: tuple[str, ...]
    """The name of each class."""

    def __post_init__(self) -> None:
        images, count = self.images, len(self.images)
        if (
            len(images.shape) != 4
            or images.shape[3] not in (1, 3)
            or not (images.dtype == np.uint8 or images.dtype.kind == "f")
        ):
            raise UserError(
                "images: expected uint8, or floats in [0, 1], [n, height, width, 1 or 3 channels], got"
                f" {images.dtype} {list(images.shape)}"
            )
        if isinstance(images, np.ndarray) and images.dtype.kind == "f":
            # A NaN is in no range.
            in_range = ((images >= 0) & (images <= 1)).reshape(count, -1).all(axis=1)
            if not in_range.all():
                number = int(np.argmin(in_range))
                raise UserError(
                    f"images: expected floats in [0, 1], got {images[number].min():g} to"
                    f" {images[number].max():g} in image {number}"
                )
        for name in ("labelled", "unlabelled", "validation"):
            indices = getattr(self, name)
            if indices.dtype.kind not in "iu" or (
                len(indices) and not 0 <= indices.min() <= indices.max() < count
            ):
                raise UserError(f"{name}: expected indices of {count} images, got others")
        if (np.diff(self.labelled) <= 0).any():
            raise UserError("labelled: expected indices in ascending order, each once, got others")
        for name, indices in (("labels", self.labelled), ("validation_labels", self.validation)):
            labels = getattr(self, name)
            if (
                labels.shape != indices.shape
                or labels.dtype.kind not in "iu"
                or (len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes))
            ):
                raise UserError(
                    f"{name}: expected {len(indices)} whole numbers, 0 to {len(self.classes) - 1},"
                    f" got {labels.dtype} {list(labels.shape)}"
                )
