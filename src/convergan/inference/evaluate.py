"""Errors of a run's classifier on other labelled images: a folder of them, or an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from convergan.data.encoded_source import Source
from convergan.data.image_folder import open_image_folder
from convergan.data.image_set import UNLABELLED
from convergan.data.test_set import confusion_matrix
from convergan.errors import UserError, first_of, printable, quoted
from convergan.inference.predict import Predictions, load_for_predicting, predict
from convergan.page.words import percent, percent_interval
from convergan.paths import StrPath, as_path
from convergan.runs.classifier import Classifier
from convergan.statistics.intervals import Interval, wilson

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 1
"""Version of the JSON's keys."""

_CONFUSIONS = 5
"""Largest number of confused pairs of classes that are printed."""


@dataclass(frozen=True)
class Evaluation:
    """Predictions of a classifier beside the true classes of the images."""

    predictions: Predictions
    """Names, predicted classes and probabilities of the images, in their order."""

    truth: np.ndarray
    """True classes of the images, int64 [images], indices into `predictions.classes`."""

    notes: tuple[str, ...] = ()
    """Notes on the images, a sentence each."""

    def __len__(self) -> int:
        """The number of images."""
        return len(self.truth)

    @property
    def wrong(self) -> np.ndarray:
        """True for wrong predictions, bool [images]."""
        return self.predictions.labels != self.truth

    @property
    def errors(self) -> int:
        """The number of wrong predictions."""
        return int(self.wrong.sum())

    @property
    def error_rate(self) -> float:
        """The share of wrong predictions, 0 to 1."""
        return self.errors / len(self)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the error rate (Wilson), for images that were drawn at random."""
        return wilson(self.errors, len(self))

    @property
    def confusion(self) -> np.ndarray:
        """Numbers of images of class i predicted as class j, int64 [classes, classes]."""
        return confusion_matrix(self.truth, self.predictions.labels, len(self.predictions.classes))

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as `convergan evaluate --json` writes it."""
        confusion = self.confusion
        return {
            "schema": SCHEMA,
            "size": len(self),
            "errors": self.errors,
            "error_rate": self.error_rate,
            "interval": list(self.interval),
            "classes": [
                {"name": name, "size": int(row.sum()), "errors": int(row.sum() - row[number])}
                for number, (name, row) in enumerate(
                    zip(self.predictions.classes, confusion, strict=True)
                )
            ],
            "confusion": confusion.tolist(),
            "unreadable": [
                {"name": image.name, "reason": image.reason} for image in self.predictions.skipped
            ],
            "notes": list(self.notes),
        }


def evaluate(
    run: StrPath | Classifier,
    images: StrPath | np.ndarray | Tensor,
    labels: Sequence[int] | Sequence[str] | np.ndarray | None = None,
    *,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Classify labelled images and count the errors.

    A folder is read as in training: one folder of images for each class, or a metadata.csv. If it has test
    images, these are evaluated, otherwise all images with a label. Classes are matched with those of the run
    by name; a class of the run may be absent. Images are treated as in training, as `predict` does.

    Args:
        run: the folder of a finished run or ensemble, or its classifier from `load_classifier`.
        images: a folder. Or uint8 [n, height, width], [n, height, width, channels] or [n, channels, height,
            width], 1 or 3 channels.
        labels: the class of each image of an array, [n], as its name or as an index into the classes of the
            run. None for a folder.
        skip_unreadable: leave out files that cannot be read; `predictions.skipped` lists them.
        progress: show a progress bar on the standard error.

    Raises:
        UserError: an image without a class of the run; labels missing, too many or too few; and as in
            `predict`.

    Example:
        >>> import numpy as np
        >>> from convergan import evaluate
        >>> images = np.zeros((2, 8, 8), dtype=np.uint8)
        >>> evaluation = evaluate("runs/mine", images, [0, 1])
        >>> len(evaluation), int(evaluation.confusion.sum())
        (2, 2)
    """
    classifier = run if isinstance(run, Classifier) else load_for_predicting(run)
    if isinstance(images, np.ndarray | Tensor):
        if labels is None:
            raise UserError("labels: expected a class for each image of an array, got none")
        truth = _indices(labels, classifier.classes, len(images))
        return Evaluation(predict(classifier, images, progress=progress), truth)
    if labels is not None:
        raise UserError(
            f"labels: expected None for a folder, which has labels of its own, got {quoted(labels)}"
        )
    path = Path(as_path(images, "images"))
    if not path.is_dir():
        raise UserError(f"images: expected a folder with a folder of each class, got {path}")
    source = open_image_folder(path)
    files, labels_in_folder, notes = _labelled(source)
    numbers = _indices_of_names(source.classes, classifier.classes, source.place)
    classes = dict(zip(files, numbers[labels_in_folder].tolist(), strict=True))
    predictions = predict(classifier, files, skip_unreadable=skip_unreadable, progress=progress)
    if not len(predictions):
        raise UserError(f"{path}: expected images that can be read, got none")
    truth = np.array([classes[name] for name in predictions.names], dtype=np.int64)
    return Evaluation(predictions, truth, notes)


def print_evaluation(console: "Console", evaluation: Evaluation) -> None:
    """Print the errors, in all and by class, the classes that are confused most, and notes."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", "errors", "of", "error rate", "95 % interval", box=None, pad_edge=False)
    confusion = evaluation.confusion
    sizes = confusion.sum(axis=1)

    def add(name: str, errors: int, size: int) -> None:
        table.add_row(
            Text(name),
            f"{errors:,}",
            f"{size:,}",
            percent(errors / size, size=size),
            percent_interval(*wilson(errors, size)),
        )

    add("all classes", evaluation.errors, len(evaluation))
    names = [printable(name) for name in evaluation.predictions.classes]
    for number, name in enumerate(names):
        if sizes[number]:
            add(name, int(sizes[number] - confusion[number, number]), int(sizes[number]))
    console.print(table)
    np.fill_diagonal(confusion, 0)
    order = np.argsort(-confusion, axis=None, kind="stable")[:_CONFUSIONS]
    say = partial(console.print, markup=False, emoji=False, highlight=False)
    if confused := [
        f"{names[true]} as {names[predicted]} ({confusion[true, predicted]:,})"
        for true, predicted in (divmod(int(position), len(names)) for position in order)
        if confusion[true, predicted]
    ]:
        say(f"\nmisclassified most often: {', '.join(confused)}")
    for note in evaluation.notes:
        say(f"note: {note}")


def _labelled(source: Source) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Files of the images to evaluate, their classes in the folder (int64), and notes."""
    if source.test is not None:
        note = f"evaluated on the test images of {printable(source.place)}"
        return [str(file) for file in source.test.files], source.test.labels, (*source.notes, note)
    part, notes = source.train, source.notes
    rows = np.flatnonzero(part.labels != UNLABELLED)
    if not len(rows):
        raise UserError(
            f"{source.place}: expected labelled images, in a folder of each class or named by a"
            " metadata.csv, got images without labels alone"
        )
    if left_out := len(part.labels) - len(rows):
        notes = (*notes, f"{left_out:,} images without a label are left out")
    return [str(part.files[row]) for row in rows.tolist()], part.labels[rows], notes


def _indices_of_names(names: Sequence[str], classes: Sequence[str], place: str) -> np.ndarray:
    """The run's index of the class of each name, int64 [names]; errors name the place."""
    indices = {name: index for index, name in enumerate(classes)}
    for name in names:
        if name not in indices:
            raise UserError(
                f"{place}: expected classes of the run ({first_of(classes)}), got {quoted(name)}"
            )
    return np.array([indices[name] for name in names], dtype=np.int64)


def _indices(
    labels: Sequence[int] | Sequence[str] | np.ndarray, classes: Sequence[str], count: int
) -> np.ndarray:
    """Labels as indices into the classes of the run, int64 [n]."""
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iuU":
        raise UserError(
            f"labels: expected {count} class names or indices, one for each image, got {array.dtype}"
            f" {list(array.shape)}"
        )
    if array.dtype.kind == "U":
        return _indices_of_names(array.tolist(), classes, "labels")
    if count and (array.min() < 0 or array.max() >= len(classes)):
        raise UserError(
            f"labels: expected indices 0 to {len(classes) - 1}, got {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)
