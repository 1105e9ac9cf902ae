"""Test images whose labels answer what is asked of predictions, and are not at hand otherwise."""

from collections.abc import Callable, Sequence

import numpy as np

from convergan.data.image_set import Images
from convergan.errors import UserError


class TestSet:
    """Images to test on. Their labels are sealed: no attribute holds them.

    Code that trains or selects is to be given `TrainingData`, and this to what observes it. Predictions are
    integers [n], the class of each image in order.
    """

    __slots__ = ("_truth", "classes", "images", "names")

    __test__ = False  # no test case of pytest's

    images: Images
    """uint8 [n, height, width, channels]."""

    names: Sequence[str]
    """n: where each image came from."""

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
        """
        Args:
            images: uint8 [n, height, width, channels].
            labels: int64 [n], the class of each.
            names: where each came from.
            classes: the name of each class.
        """
        self.images = images
        self.names = names
        self.classes = classes
        self._truth = _sealed(labels)

    def __len__(self) -> int:
        return len(self.images)

    def errors(self, predictions: np.ndarray) -> np.ndarray:
        """bool [n]: which predictions are wrong.

        Raises:
            UserError: not n integers, or one that is no class.
        """
        return self._checked(predictions) != self._truth()

    def count_errors(self, predictions: np.ndarray) -> int:
        """How many predictions are wrong; raises as `errors`."""
        return int(self.errors(predictions).sum())

    def confusion(self, predictions: np.ndarray) -> np.ndarray:
        """int64 [classes, classes]: images of class i predicted to be of class j; raises as `errors`."""
        confusion = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        np.add.at(confusion, (self._truth(), self._checked(predictions)), 1)
        return confusion

    def labels_for_report(self) -> np.ndarray:
        """int64 [n]: a copy of the labels, to show beside images when all training is over."""
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


def _sealed(labels: np.ndarray) -> Callable[[], np.ndarray]:
    """The labels inside a function, where no `vars`, no pickle and no saved state finds them."""
    kept = labels.astype(np.int64)
    return lambda: kept.copy()
