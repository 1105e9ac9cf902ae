"""Classes of images, as a CSV file."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convergan.errors import UserError
from convergan.images.read_images import SkippedImage, find_image_files, read_images
from convergan.networks.batches import device_of_process, run_batches
from convergan.networks.classification import batch_size, classified_pixels
from convergan.outputs import is_stream, require_output, spreadsheet_text, text_output
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
    run: Path,
    images: Path | Sequence[Path],
    *,
    unreadable: Callable[[SkippedImage], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Predicted]:
    """Classifies images: files, and all images in folders and the folders below them, sorted by path.

    Images are decoded as in training: to the run's grey or colour, and resized where training resized.

    Args:
        run: the folder of a finished run.
        images: an image or a folder, or several.
        unreadable: called with each image that cannot be read, which is then left out. None: it is an error.
        progress: called with the number of images done and of all.

    Raises:
        UserError: `run` is no finished run or has no classes; there is no image, or one cannot be read or
            has another size than the run's, and the run was not trained on resized images.
    """
    files = _find(images)
    for batch in _predict_batches(run, files, unreadable, progress):
        yield from map(Predicted, *batch)


def predict_to_csv(
    run: Path,
    images: Path | Sequence[Path],
    out: Path,
    *,
    overwrite: bool = False,
    unreadable: Callable[[SkippedImage], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes path, label, confidence and a column per class; gives the number of images classified.

    A file is one that spreadsheets read: it begins with a byte order mark where a path or a class is not
    plain ASCII, and no cell is taken for a formula (`./` goes before such a path, an apostrophe before such
    a class).

    Args:
        run, images, unreadable, progress: as in `predict`.
        out: a new file, whole or not at all; or a pipe, or `-`, the standard output.
        overwrite: replace a file that is there.

    Raises:
        UserError: as `predict`; `out` exists, is a folder, or is in none. Then `out` stays as it was.
    """
    require_output(out, name="out", overwrite=overwrite)
    config = load_config(run)
    files = _find(images)
    _require_no_input(out, files)
    count = 0
    # Numbers need no quotes: it is faster to leave only the text to `csv`.
    text = csv.writer(_Echo())
    line = "%s" + ",%.6f" * (1 + len(config.classes)) + "\r\n"
    cell_of = {name: spreadsheet_text(name) for name in config.classes}
    batches = _predict_batches(run, files, unreadable, progress)
    # Programs that read a pipe take a byte order mark for a part of the first name.
    marked = not is_stream(out) and not all(map(str.isascii, (*files, *config.classes)))
    with text_output(out) as file:
        if marked:
            file.write("\N{BYTE ORDER MARK}")
        csv.writer(file).writerow(["path", "label", "confidence", *cell_of.values()])
        for paths, labels, confidences, probabilities in batches:
            numbers = np.column_stack([confidences, probabilities]).tolist()
            file.writelines(
                line
                % (
                    text.writerow([_path_cell(path), cell_of[label]]).removesuffix("\r\n"),
                    *of_classes,
                )
                for path, label, of_classes in zip(paths, labels, numbers, strict=True)
            )
            count += len(paths)
    return count


def _require_no_input(out: Path, files: Sequence[str]) -> None:
    """Checks that the output replaces none of the images."""
    if not out.is_file():
        return
    for file in files:
        if os.path.basename(file) == out.name and os.path.samefile(file, out):
            raise UserError(f"out: expected another file than the image {out}, got that one")


def _path_cell(path: str) -> str:
    """The path, or the same path in other words that no spreadsheet takes for a formula."""
    return path if spreadsheet_text(path) == path else f"./{path}"


def _find(images: Path | Sequence[Path]) -> list[str]:
    """The image files among and below some paths, each once."""
    places = [images] if isinstance(images, Path) else images
    return list(dict.fromkeys(file for place in places for file in find_image_files(place)))


class _Batch(NamedTuple):
    """What `Predicted` holds, of several images."""

    paths: list[str]
    labels: list[str]
    confidences: list[float]
    probabilities: np.ndarray
    """float32 [images, classes]."""


def _predict_batches(
    run: Path,
    files: Sequence[str],
    unreadable: Callable[[SkippedImage], None] | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[_Batch]:
    """Predicts in batches as `predict` does; errors with the run are raised at once."""
    classifier, config = load_classifier(run)
    if not config.classes:
        raise UserError(f"{run}: expected a run with classes, got one trained without labels")
    device = device_of_process()
    classifier = classifier.to(device)
    channels, height, width = config.image_shape

    batches = read_images(
        files,
        size=(height, width),
        channels=channels,
        resize=config.resized,
        batch_size=batch_size((height, width), device.type),
        unreadable=unreadable,
    )
    tensors = ((paths, torch.from_numpy(pixels)) for paths, pixels in batches)

    def probabilities_of(pixels: Tensor) -> tuple[Tensor]:
        return (torch.softmax(classified_pixels(classifier, pixels).logits, dim=1),)

    def counted() -> Iterator[_Batch]:
        done = 0
        for paths, (on_cpu,) in run_batches(probabilities_of, tensors, device):
            probabilities = on_cpu.numpy()
            labels = [config.classes[best] for best in probabilities.argmax(axis=1).tolist()]
            yield _Batch(paths, labels, probabilities.max(axis=1).tolist(), probabilities)
            done += len(paths)
            if progress is not None:
                progress(done, len(files))

    return counted()


class _Echo:
    """A file that keeps nothing: `csv` then returns the line that it writes."""

    def write(self, line: str) -> str:
        return line
