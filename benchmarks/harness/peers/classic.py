"""Peers without a neural network: an SVM and scikit-learn's two ways to learn from unlabelled images.

Five-fold cross-validation of the labelled images chooses their settings. They need less time than they may
take, except on 60,000 images.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

from convergan.data.image_set import UNLABELLED
from harness.few_labels.budget import Budget, Predict
from harness.few_labels.data import TaskData

ORIENTATIONS = 9
COLOUR_GRID = 4
COMPONENTS = 50


def hog_svm(data: TaskData, budget: Budget) -> Predict:
    """Histograms of oriented gradients and colours in a support vector machine, the labels alone."""
    folds = _folds(data.labels, budget.seed)
    searches = {
        cell: GridSearchCV(
            make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 10, 100]}, cv=folds
        ).fit(hog_and_colour(data.images[data.labelled], cell), data.labels)
        for cell in _cells(data)
    }
    cell = max(searches, key=lambda size: searches[size].best_score_)
    return lambda images: searches[cell].predict(hog_and_colour(images, cell))


def self_training(data: TaskData, budget: Budget) -> Predict:
    """Logistic regression on principal components of HOG and colour, or of the pixels, whichever is better on
    the labels; it adds the images that it is sure of.
    """
    folds = _folds(data.labels, budget.seed)
    ways: list[Callable[[np.ndarray], np.ndarray]] = [
        _pixels, *(partial(hog_and_colour, cell=cell) for cell in _cells(data))
    ]  # fmt: skip
    searches = []
    for way in ways:
        features = way(data.images)
        components = PCA(min(2 * COMPONENTS, features.shape[1]), random_state=0)
        reduce = make_pipeline(StandardScaler(), components).fit(features)
        reduced = reduce.transform(features)
        search = GridSearchCV(
            LogisticRegression(max_iter=1000), {"C": [0.01, 0.1, 1, 10]}, cv=folds
        ).fit(reduced[data.labelled], data.labels)
        searches.append((search, way, reduce, reduced))
    search, way, reduce, reduced = max(searches, key=lambda entry: entry[0].best_score_)
    model = SelfTrainingClassifier(search.best_estimator_, threshold=0.9, max_iter=20)
    model.fit(reduced, _all_labels(data))
    return lambda images: model.predict(reduce.transform(way(images)))


def label_spreading(data: TaskData, budget: Budget) -> Predict:
    """Labels spread over the nearest neighbours among the principal components of the pixels."""
    pixels = _pixels(data.images)
    reduce = PCA(min(COMPONENTS, pixels.shape[1]), random_state=0).fit(pixels)
    model = LabelSpreading(kernel="knn", n_neighbors=7, n_jobs=budget.threads)
    model.fit(reduce.transform(pixels), _all_labels(data))
    return lambda images: model.predict(reduce.transform(_pixels(images)))


def hog_and_colour(images: np.ndarray, cell: int) -> np.ndarray:
    """Histograms of oriented gradients, and means and deviations of each channel on a grid of four by four.

    Args:
        images: uint8 [n, height, width, channels].
        cell: side of the cells of the histograms, in pixels; two by two of them are normalized together.
    """
    return np.concatenate([_hog(images, cell), _colour(images)], axis=1)


def _hog(images: np.ndarray, cell: int) -> np.ndarray:
    grey = images.astype(np.float32).mean(axis=-1) / 255
    vertical, horizontal = np.gradient(grey, axis=(1, 2))
    size = np.hypot(vertical, horizontal)
    # Each gradient is shared between the two nearest orientations.
    angle = np.arctan2(vertical, horizontal) % np.pi / np.pi * ORIENTATIONS
    lower = np.floor(angle).astype(np.int64)
    share = angle - lower
    count, rows, columns = grey.shape[0], grey.shape[1] // cell, grey.shape[2] // cell
    cells = np.empty((count, rows, columns, ORIENTATIONS), np.float32)
    for orientation in range(ORIENTATIONS):
        votes = size * (
            (lower % ORIENTATIONS == orientation) * (1 - share)
            + ((lower + 1) % ORIENTATIONS == orientation) * share
        )
        votes = votes[:, : rows * cell, : columns * cell]
        cells[..., orientation] = votes.reshape(count, rows, cell, columns, cell).sum(axis=(2, 4))
    blocks = np.concatenate(
        [cells[:, i : rows - 1 + i, j : columns - 1 + j] for i in (0, 1) for j in (0, 1)], axis=-1
    )
    blocks /= np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 1e-4)
    return blocks.reshape(count, -1)


def _colour(images: np.ndarray) -> np.ndarray:
    count, height, width, channels = images.shape
    rows, columns = height // COLOUR_GRID, width // COLOUR_GRID
    tiles = images[:, : rows * COLOUR_GRID, : columns * COLOUR_GRID].astype(np.float32) / 255
    tiles = tiles.reshape(count, COLOUR_GRID, rows, COLOUR_GRID, columns, channels)
    return np.concatenate(
        [statistic(tiles, axis=(2, 4)).reshape(count, -1) for statistic in (np.mean, np.std)],
        axis=1,
    )


def _cells(data: TaskData) -> list[int]:
    side = min(data.images.shape[1:3])
    return [cell for cell in (side // 4, side // 8) if cell >= 2]


def _folds(labels: np.ndarray, seed: int) -> StratifiedKFold:
    folds = min(5, int(np.bincount(labels).min()))
    return StratifiedKFold(folds, shuffle=True, random_state=seed)


def _all_labels(data: TaskData) -> np.ndarray:
    labels = np.full(len(data.images), UNLABELLED)
    labels[data.labelled] = data.labels
    return labels


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255
