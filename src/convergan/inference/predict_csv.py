"""The command `convergan predict`: classes of images, as a CSV file."""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from convergan.errors import UserError
from convergan.images.read_images import SkippedImage
from convergan.inference.predict import (
    batches_of_files,
    find_files,
    load_for_predicting,
    predicted_batches,
)
from convergan.outputs import is_stream, require_output, spreadsheet_text, text_output
from convergan.runs.model import load_config


def predict_to_csv(
    run: Path,
    images: Path | Iterable[Path],
    out: Path,
    *,
    overwrite: bool = False,
    unreadable: Callable[[SkippedImage], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write path, label, confidence and a column per class; return the number of classified images.

    Spreadsheets can read the file: it begins with a byte order mark where a path or a class is not
    plain ASCII, and no cell is taken for a formula (`./` goes before such a path, an apostrophe before such
    a class).

    Args:
        run: the folder of a finished run.
        images: an image or a folder, or several.
        out: a new file, whole or not at all; or a pipe, or `-`, the standard output.
        overwrite: replace a file that is there.
        unreadable: called with each image that cannot be read, which is then left out. None: it is an error.
        progress: called with the number of images done and of all.

    Raises:
        UserError: as in `predict`; `out` exists, is a folder, or is in none. Then `out` stays as it was.
    """
    # The inputs first: an existing output must not hide that their path is wrong.
    load_config(run)
    files = find_files(images)
    require_output(out, name="out", overwrite=overwrite)
    classifier = load_for_predicting(run)
    _require_no_input(out, files)
    count = 0
    # Numbers need no quotes: it is faster to leave only the text to `csv`.
    text = csv.writer(_Echo())
    line = "%s" + ",%.6f" * (1 + len(classifier.classes)) + "\r\n"
    cells = [spreadsheet_text(name) for name in classifier.classes]
    batches = predicted_batches(classifier, batches_of_files(classifier, files, unreadable))
    # Programs that read a pipe take a byte order mark for a part of the first name.
    marked = not is_stream(out) and not all(map(str.isascii, (*files, *classifier.classes)))
    with text_output(out) as file:
        if marked:
            file.write("\N{BYTE ORDER MARK}")
        csv.writer(file).writerow(["path", "label", "confidence", *cells])
        for paths, probabilities in batches:
            labels = probabilities.argmax(axis=1).tolist()
            numbers = np.column_stack([probabilities.max(axis=1), probabilities]).tolist()
            file.writelines(
                line
                % (
                    text.writerow([_path_cell(path), cells[label]]).removesuffix("\r\n"),
                    *values,
                )
                for path, label, values in zip(paths, labels, numbers, strict=True)
            )
            count += len(paths)
            if progress is not None:
                progress(count, len(files))
    return count


def _require_no_input(out: Path, files: Sequence[str]) -> None:
    """Check that the output replaces none of the images."""
    if not out.is_file():
        return
    for file in files:
        if os.path.basename(file) == out.name and os.path.samefile(file, out):
            raise UserError(f"out: expected a file other than the image {out}, got that one")


def _path_cell(path: str) -> str:
    """The path, or an equivalent one that no spreadsheet takes for a formula."""
    return path if spreadsheet_text(path) == path else f"./{path}"


class _Echo:
    """A file that stores nothing: `csv` then returns the line that it writes."""

    def write(self, line: str) -> str:
        return line
