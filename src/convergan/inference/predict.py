"""Predicted classes of images, in files or arrays, by a run's classifier."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convergan.data.image_stream import channels_last, turned
from convergan.data.names import RowNames
from convergan.errors import UserError, quoted
from convergan.images.read_images import SkippedImage, find_image_files, read_images
from convergan.networks.batches import device_of_process, run_batches
from convergan.networks.classification import batch_size
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar
from convergan.runs.classifier import Classifier, require_evaluation_mode
from convergan.runs.model import load_classifier

Batches = Iterator[tuple[Sequence[str], np.ndarray]]
"""Names of images, and their pixels: uint8 [batch, height, width, channels]."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier for images, in their order."""

    classes: tuple[str, ...]
    """The name of each class."""

    names: list[str]
    """The path of each image; for an array `row 0`, `row 1` and so on."""

    labels: np.ndarray
    """Most probable class of each image, int64 [images], an index into `classes`."""

    probabilities: np.ndarray
    """Class probabilities, float32 [images, classes]: each row sums to 1."""

    skipped: tuple[SkippedImage, ...] = ()
    """Files that could not be read and were left out: `name` and `reason` of each."""

    def __len__(self) -> int:
        """The number of images classified."""
        return len(self.labels)

    @property
    def confidences(self) -> np.ndarray:
        """Probability of each image's label, float32 [images], 0 to 1."""
        confidences: np.ndarray = self.probabilities.max(axis=1)
        return confidences


def predict(
    run: StrPath | Classifier,
    images: StrPath | Iterable[StrPath] | np.ndarray | Tensor,
    *,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> Predictions:
    """Classify images: files, all images in folders and in the folders below them, or an array.

    Images are treated as in training: converted to the run's grey or colour, and resized if training resized.
    The same images get the same probabilities as files and as an array. A GPU is used if there is one; a
    classifier passed as `run` stays on its device.

    Args:
        run: the folder of a finished run or ensemble, or its classifier from `load_classifier`.
        images: an image or a folder, or several; files are sorted by path, each counts once. Or uint8 [n,
            height, width], [n, height, width, channels] or [n, channels, height, width], 1 or 3 channels.
        skip_unreadable: go on without files that cannot be read; they are listed in `skipped`.
        progress: show a progress bar on the standard error.

    Returns:
        Classes, names, labels [n] and probabilities [n, classes].

    Raises:
        UserError: `run` is no finished run, has no classes or is in training mode; there is no image, or one
            cannot be read or has another size than the run's, and the run was not trained on resized images;
            an array of another type or shape.

    Example:
        >>> import numpy as np
        >>> from convergan import predict
        >>> images = np.zeros((2, 8, 8), dtype=np.uint8)
        >>> predictions = predict("runs/mine", images)
        >>> predictions.probabilities.shape == (2, len(predictions.classes))
        True
    """
    classifier = run if isinstance(run, Classifier) else load_for_predicting(run)
    # Threads that set the mode and restored it would disturb each other.
    require_evaluation_mode(classifier, "run")
    skipped: list[SkippedImage] = []
    if isinstance(images, np.ndarray | Tensor):
        pixels = _pixels_of(images, classifier)
        count, batches = len(pixels), _batches_of_array(pixels, classifier)
    else:
        files = find_files(images)
        left_out = skipped.append if skip_unreadable else None
        count, batches = len(files), batches_of_files(classifier, files, left_out)
    names: list[str] = []
    probabilities = [np.empty((0, len(classifier.classes)), dtype=np.float32)]
    with progress_bar("predicting", quiet=not progress) as report:
        for batch_names, batch_probabilities in predicted_batches(classifier, batches):
            names += batch_names
            probabilities.append(batch_probabilities)
            report(len(names) + len(skipped), count)
    table = np.concatenate(probabilities)
    return Predictions(classifier.classes, names, table.argmax(axis=1), table, tuple(skipped))


def load_for_predicting(run: StrPath) -> Classifier:
    """Load a run's classifier onto the device for predictions. Raises as `load_classifier` does."""
    return load_classifier(run).to(device_of_process())


def find_files(images: StrPath | Iterable[StrPath]) -> list[str]:
    """The image files among and below some paths, each once, sorted below each path.

    Raises:
        UserError: there is none, or an item is no path.
    """
    several = isinstance(images, Iterable) and not isinstance(images, str | bytes)
    items: Any = images if several else [images]
    paths = [as_path(item, "images") for item in items]
    if not paths:
        raise UserError("images: expected an image or a folder of images, got nothing")
    return list(dict.fromkeys(file for path in paths for file in find_image_files(path)))


def batches_of_files(
    classifier: Classifier,
    files: Sequence[str],
    unreadable: Callable[[SkippedImage], None] | None,
) -> Batches:
    """Read image files as the classifier's input.

    Args:
        classifier: classifier whose image size and channels they are converted to.
        files: files, as from `find_files`.
        unreadable: called with each image that cannot be read, which is then left out. None: it is an error.

    Raises:
        UserError: an unreadable image, or one of another size; names its file.
    """
    channels, height, width = classifier.image_shape
    return read_images(
        files,
        size=(height, width),
        channels=channels,
        resize=classifier.resized,
        batch_size=_batch_size(classifier),
        unreadable=unreadable,
    )


def predicted_batches(
    classifier: Classifier, batches: Batches
) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    """Names of images and their probabilities, float32 [batch, classes], batch by batch, in order."""
    device = next(classifier.parameters()).device

    def probabilities_of(pixels: Tensor) -> tuple[Tensor]:
        return (torch.softmax(classifier(pixels.permute(0, 3, 1, 2)).logits, dim=1),)

    tensors = ((names, torch.from_numpy(pixels)) for names, pixels in batches)
    for names, (probabilities,) in run_batches(probabilities_of, tensors, device):
        yield names, probabilities.numpy()


def _batch_size(classifier: Classifier) -> int:
    _, height, width = classifier.image_shape
    return batch_size((height, width), next(classifier.parameters()).device.type)


def _pixels_of(images: np.ndarray | Tensor, classifier: Classifier) -> np.ndarray:
    """Pixels, uint8 [n, height, width, channels], of a size that the classifier takes."""
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8 or images.layout != torch.strided or images.is_meta:
            raise UserError(f"images: expected uint8, 0 to 255, got {quoted(images.dtype)}")
        images = images.numpy(force=True)
    array: Any = images
    pixels = channels_last("images", array)
    if pixels.dtype != np.uint8:
        raise UserError(f"images: expected uint8, 0 to 255, got {pixels.dtype}")
    _, height, width = classifier.image_shape
    got_height, got_width = pixels.shape[1:3]
    if not classifier.resized and (got_height, got_width) != (height, width):
        raise UserError(
            f"images: expected {width}x{height} pixels (width x height), got {got_width}x{got_height}"
        )
    return pixels


def _batches_of_array(pixels: np.ndarray, classifier: Classifier) -> Batches:
    channels, height, width = classifier.image_shape
    names, size = RowNames([("row", len(pixels))]), _batch_size(classifier)
    for first in range(0, len(pixels), size):
        part = pixels[first : first + size]
        if part.shape[1:] == (height, width, channels):
            # Torch needs writable memory.
            batch = part.copy()
        else:
            batch = np.stack(list(turned(part, channels, (height, width))))
        yield names[first : first + size], batch
