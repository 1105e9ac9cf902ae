"""Classes of images, as a CSV file."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from convergan.data.batches import to_network
from convergan.data.read_images import find_images, read_images
from convergan.errors import UserError
from convergan.files import written_aside
from convergan.runs.model import load_classifier, load_config


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
    classifier, config = load_classifier(run)
    if not config.classes:
        raise UserError(f"{run}: expected a run with classes, got one trained without labels")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = classifier.to(device)
    paths = find_images(images)
    channels, height, width = config.image_shape
    chunks = read_images(paths, size=(height, width), channels=channels, resize=config.resized)
    done = 0
    for names, pixels in chunks:
        batch = to_network(torch.from_numpy(pixels).to(device), classifier.pixel_range)
        with torch.no_grad():
            probabilities = torch.softmax(classifier(batch).logits, dim=1).cpu().numpy()
        for name, row in zip(names, probabilities, strict=True):
            best = int(row.argmax())
            yield Predicted(str(name), config.classes[best], float(row[best]), row)
        done += len(names)
        if progress is not None:
            progress(done, len(paths))


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
    with (
        written_aside(out) as aside,
        aside.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["path", "label", "confidence", *config.classes])
        for row in predict(run, images, progress=progress):
            numbers = [f"{value:.6f}" for value in (row.confidence, *row.probabilities)]
            writer.writerow([row.path, row.label, *numbers])
            count += 1
    return count
