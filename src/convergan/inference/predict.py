"""Classes of images, as a CSV file."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from convergan.data.batches import to_network
from convergan.data.read_images import find_image_files, read_images
from convergan.errors import UserError
from convergan.files import written_aside
from convergan.inference.batches import device_of_process, map_batches
from convergan.networks.classification import classified
from convergan.runs.model import load_classifier, load_config

_BATCH_PIXELS = 2**18
"""In a batch, of which several are in the network at once."""


class Predicted(NamedTuple):
    """What the classifier says of one image."""

    path: str
    label: str
    confidence: float
    """Probability of `label`, 0 to 1."""
    probabilities: np.ndarray
    """float32 [classes]."""


def predict(
    run: Path, images: Path, *, progress: Callable[[int, int], None] | None = None
) -> Iterator[Predicted]:
    """Classifies an image, or all images in a folder and the folders below it, sorted by path.

    Images are decoded as in training: to the run's grey or colour, and resized where training resized.

    Args:
        run: the folder of a finished run.
        images: an image or a folder.
        progress: called with the number of images done and of all.

    Raises:
        UserError: `run` is no finished run or has no classes; there is no image, or one cannot be read or
            has another size than the run's, and the run was not trained on resized images.
    """
    for batch in _predict_batches(run, images, progress):
        yield from map(Predicted, *batch)


def predict_to_csv(
    run: Path, images: Path, out: Path, *, progress: Callable[[int, int], None] | None = None
) -> int:
    """Writes path, label, confidence and a column per class; gives the number of images.

    Raises:
        UserError: as `predict`; `out` is a folder, or is in none. Then `out` stays as it was.
    """
    if out.is_dir():
        raise UserError(f"out: expected a file, got the folder {out}")
    if not out.parent.is_dir():
        raise UserError(f"out: expected a file in an existing folder, got {out}")
    config = load_config(run)
    count = 0
    # Numbers need no quotes: it is faster to leave only the text to `csv`.
    text = csv.writer(_Echo())
    line = "%s" + ",%.6f" * (1 + len(config.classes)) + "\r\n"
    with (
        written_aside(out) as aside,
        aside.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerow(["path", "label", "confidence", *config.classes])
        for paths, labels, confidences, probabilities in _predict_batches(run, images, progress):
            numbers = np.column_stack([confidences, probabilities]).tolist()
            file.writelines(
                line % (text.writerow(of_image).removesuffix("\r\n"), *of_classes)
                for *of_image, of_classes in zip(paths, labels, numbers, strict=True)
            )
            count += len(paths)
    return count


class _Batch(NamedTuple):
    """What `Predicted` holds, of several images."""

    paths: list[str]
    labels: list[str]
    confidences: list[float]
    probabilities: np.ndarray
    """float32 [images, classes]."""


def _predict_batches(
    run: Path, images: Path, progress: Callable[[int, int], None] | None
) -> Iterator[_Batch]:
    """See `predict`."""
    classifier, config = load_classifier(run)
    if not config.classes:
        raise UserError(f"{run}: expected a run with classes, got one trained without labels")
    device = device_of_process()
    classifier = classifier.to(device)
    files = find_image_files(images)
    channels, height, width = config.image_shape

    def predicted(batch: tuple[list[str], np.ndarray]) -> _Batch:
        paths, pixels = batch
        on_device = to_network(torch.from_numpy(pixels).to(device), classifier.pixel_range)
        probabilities = torch.softmax(classified(classifier, on_device).logits, dim=1).cpu().numpy()
        labels = [config.classes[best] for best in probabilities.argmax(axis=1).tolist()]
        return _Batch(paths, labels, probabilities.max(axis=1).tolist(), probabilities)

    batches = read_images(
        files,
        size=(height, width),
        channels=channels,
        resize=config.resized,
        batch_size=min(max(_BATCH_PIXELS // (height * width), 16), 512),
    )
    done = 0
    for batch in map_batches(predicted, batches, device):
        yield batch
        done += len(batch.paths)
        if progress is not None:
            progress(done, len(files))


class _Echo:
    """A file that keeps nothing: `csv` then returns the line that it writes."""

    def write(self, line: str) -> str:
        return line
