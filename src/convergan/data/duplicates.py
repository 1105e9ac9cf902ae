"""Equal images in two classes, or in both the training and the test set of a data set."""

from collections.abc import Sequence

import numpy as np

from convergan.data.image_set import UNLABELLED, ImageSet
from convergan.errors import printable, shortened


def notes_of_duplicates(
    train: ImageSet, test: ImageSet | None, classes: tuple[str, ...]
) -> list[str]:
    """Notes on images of equal pixels in two classes, or in both the training and the test set.

    The decoded pixels are compared: two files of one picture are equal too.

    Returns:
        A sentence for each of the two kinds that occurs, with the first pair and the number of images; a
        single sentence if all training images are equal.
    """
    equal = _equal_images([train] if test is None else [train, test])
    count = len(train)
    if count > 1 and any(sum(row < count for row in rows) == count for rows in equal):
        return [f"all {count} training images are identical, pixel for pixel"]
    notes = []
    labels = [train.labels] if test is None else [train.labels, test.labels]
    label = np.concatenate(labels)

    def file_name(row: int) -> str:
        part, index = (train, row) if row < count or test is None else (test, row - count)
        return printable(part.names[index])

    def name_and_class(row: int) -> str:
        return f"{file_name(row)} ({shortened(classes[label[row]])})"

    torn = [rows for rows in equal if len(set(label[rows]) - {UNLABELLED}) > 1]
    if torn:
        original, *copies = (row for row in torn[0] if label[row] != UNLABELLED)
        copy = next(row for row in copies if label[row] != label[original])
        number = sum(int((label[rows] != UNLABELLED).sum()) for rows in torn)
        notes.append(
            f"{number} images occur in two or more classes, pixel for pixel: {name_and_class(original)}"
            f" equals {name_and_class(copy)}{'' if number == 2 else ', and others'}"
        )
    leaked = [rows for rows in equal if rows[0] < count <= rows[-1]]
    if leaked:
        number = sum(int((np.asarray(rows) >= count).sum()) for rows in leaked)
        copy = next(row for row in leaked[0] if row >= count)
        notes.append(
            f"{number} test image{' is a training image' if number == 1 else 's are training images'} too,"
            f" pixel for pixel: {file_name(copy)} equals {file_name(leaked[0][0])}"
            f"{'' if number == 1 else ', and others'}"
        )
    return notes


def _equal_images(parts: Sequence[ImageSet]) -> list[list[int]]:
    """Groups of rows of equal images, sorted; rows of the second part follow those of the first."""

    def image(row: int) -> np.ndarray:
        count = len(parts[0])
        return parts[0].images[row] if row < count else parts[1].images[row - count]

    hashes = np.fromiter(
        (hash(image.tobytes()) for part in parts for image in part.images), dtype=np.int64
    )
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(hashes[order]) != 0])
    ends = np.r_[starts[1:], len(order)]
    equal = []
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        rows = order[start:end].tolist()
        # Different images may have the same hash.
        while len(rows) > 1:
            copies = [row for row in rows if np.array_equal(image(rows[0]), image(row))]
            if len(copies) > 1:
                equal.append(copies)
            rows = sorted(set(rows).difference(copies))
    return sorted(equal)
