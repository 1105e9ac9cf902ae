"""Classes of images: what a run's classifier says of files and of arrays."""

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
    """What a classifier says of images, in their order."""

    classes: tuple[str, ...]
    """The name of each class."""

    names: list[str]
    """The path of each image, or of an array `row 0`, `row 1` and so on."""

    labels: np.ndarray
    """int64 [images]: the most probable class of each, an index into `classes`."""

    probabilities: np.ndarray
    """float32 [images, classes]: each row sums to 1."""

    skipped: tuple[SkippedImage, ...] = ()
    """Files that could not be read and were left out: `name` and `reason` of each."""

    def __len__(self) -> int:
        """The number of images classified."""
        return len(self.labels)

    @property
    def confidences(self) -> np.ndarray:
        """float32 [images]: the probability of the label of each, 0 to 1."""
        confidences: np.ndarray = self.probabilities.max(axis=1)
        return confidences


def predict(
    run: StrPath | Classifier,
    images: StrPath | Iterable[StrPath] | np.ndarray | Tensor,
    *,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> Predictions:
    """Classifies images: files, all images in folders and in the folders below them, or an array.

    Images are treated as in training: turned to the run's grey or colour, and resized where training resized.
    The same images are given the same probabilities, whether they come as files or as an array. A GPU is used
    where there is one; a classifier that is handed over stays on its device.

    Args:
        run: the folder of a finished run or ensemble, or what `load_classifier` made of it.
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
    # What the threads below would set and put back, they would for each other.
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
    together = np.concatenate(probabilities)
    return Predictions(classifier.classes, names, together.argmax(axis=1), together, tuple(skipped))


def load_for_predicting(run: StrPath) -> Classifier:
    """A run's classifier on the device that images are classified on. Raises as `load_classifier`."""
    return load_classifier(run).to(device_of_process())


def find_files(images: StrPath | Iterable[StrPath]) -> list[str]:
    """The image files among and below some paths, each once, sorted below each path.

    Raises:
        UserError: there is none, or what is there is no path.
    """
    several = isinstance(images, Iterable) and not isinstance(images, str | bytes)
    given: Any = images if several else [images]
    places = [as_path(place, "images") for place in given]
    if not places:
        raise UserError("images: expected an image or a folder of images, got nothing")
    return list(dict.fromkeys(file for place in places for file in find_image_files(place)))


def batches_of_files(
    classifier: Classifier,
    files: Sequence[str],
    unreadable: Callable[[SkippedImage], None] | None,
) -> Batches:
    """Image files as the classifier takes them.

    Args:
        classifier: whose size and channels they are brought to.
        files: as `find_files` gives them.
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
    """Names, and float32 [batch, classes]: the probabilities of images, batch by batch, in order."""
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
    """uint8 [n, height, width, channels] of a size that the classifier takes."""
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
        some = pixels[first : first + size]
        if some.shape[1:] == (height, width, channels):
            # Torch wants memory that could be written to.
            batch = some.copy()
        else:
            batch = np.stack(list(turned(some, channels, (height, width))))
        yield names[first : first + size], batch
