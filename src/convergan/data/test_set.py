"""Test images whose labels only score predictions and are not accessible otherwise."""

from collections.abc import Callable, Sequence

import numpy as np

from convergan.data.image_set import Images
from convergan.errors import UserError


class TestSet:
    """Test images. Their labels are sealed: no attribute holds them.

    Pass `TrainingData` to code that trains or selects, and this to code that observes it. Predictions are
    integers [n], the class of each image in order.
    """

    __slots__ = ("_truth", "classes", "images", "names")

    __test__ = False  # no test case of pytest's

    images: Images
    """Pixels, uint8 [n, height, width, channels]."""

    names: Sequence[str]
    """Origin of each image."""

    classes: tuple[str, ...]
    """The name of each class."""

    def __init__(
        self,
        images: Images,
        labels: np.ndarray,
        *,
        names: Sequence[str],
        classes: tuple[str, ...],
    ) -> None:
        """Args:
        images: pixels, uint8 [n, height, width, channels].
        labels: int64 [n], the class of each image.
        names: origin of each image.
        classes: the name of each class.
        """
        self.images = images
        self.names = names
        self.classes = classes
        self._truth = _sealed(labels)

    def __len__(self) -> int:
        return len(self.images)

    def errors(self, predictions: np.ndarray) -> np.ndarray:
        """True for wrong predictions, bool [n].

        Raises:
            UserError: predictions are not n integers, or one is no class.
        """
        return self._checked(predictions) != self._truth()

    def count_errors(self, predictions: np.ndarray) -> int:
        """Number of wrong predictions; raises as `errors` does."""
        return int(self.errors(predictions).sum())

    def confusion(self, predictions: np.ndarray) -> np.ndarray:
        """Numbers of images of class i predicted as class j, int64 [classes, classes]; raises as `errors`."""
        return confusion_matrix(self._truth(), self._checked(predictions), len(self.classes))

    def labels_for_report(self) -> np.ndarray:
        """A copy of the labels, int64 [n], to show beside images after all training."""
        return self._truth()

    def _checked(self, predictions: np.ndarray) -> np.ndarray:
        numbers = np.asarray(predictions)
        if numbers.shape != (len(self),) or numbers.dtype.kind not in "iu":
            raise UserError(
                f"predictions: expected {len(self)} integers, one for each test image,"
                f" got {numbers.dtype} {list(numbers.shape)}"
            )
        last = len(self.classes) - 1
        if numbers.min() < 0 or numbers.max() > last:
            raise UserError(
                f"predictions: expected classes 0 to {last}, got {numbers.min()} to {numbers.max()}"
            )
        return numbers


def confusion_matrix(truth: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Numbers of images of class i predicted as class j, int64 [classes, classes]."""
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predictions), 1)
    return confusion


def _sealed(labels: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that returns the labels, which are in no `vars`, no pickle and no saved state."""
    numbers = labels.astype(np.int64)
    return lambda: numbers.copy()
