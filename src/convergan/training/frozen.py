"""The arm `frozen`: a linear layer, fitted to the labels, on the features of a pretrained network."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.networks.batches import run_batches
from convergan.networks.classification import batch_size, classified_pixels
from convergan.networks.precision import without_tf32
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.networks import PretrainedSettings
from convergan.recipes.settings import Recipe
from convergan.training.loop import Fitted

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for the inverse strength of regularization, which scikit-learn calls C."""

_DEFAULT_STRENGTH = 1e-2
"""Inverse strength if a class has a single label, so that none can be held out."""

_MOST_FOLDS = 5

_TOLERANCE = 1e-6
"""Largest gradient of the cost at the end. With scikit-learn's default, only the first digit is final."""

_MOST_ITERATIONS = 1000

_UNLABELLED_CLASS_MARGIN = 1e3
"""Distance by which the bias of a class without labels lies below the lowest bias of the others."""


class FrozenNetwork:
    """The pretrained network of a run, which is loaded once, and the features of its labelled images.

    Args:
        device: device to compute features on.
        recipe: settings, with `PretrainedSettings` as `networks`.
        data: the images, which all trainings of the run share; their labels may differ.

    Raises:
        UserError: the recipe has other networks, or the pretrained network cannot be found.
    """

    def __init__(self, device: torch.device, recipe: Recipe, data: TrainingData) -> None:
        start = time.monotonic()
        if not isinstance(recipe.networks, PretrainedSettings):
            raise UserError(f"networks.kind: expected pretrained, got {recipe.networks.kind}")
        _, height, width, channels = data.images.shape
        shape = (channels, height, width)
        self._network = PretrainedDiscriminator(recipe.networks, shape, len(data.classes))
        self._network.load_pretrained()
        self._network.to(device).eval()
        self._images = DeviceImages(data.images, device, resident_bytes=recipe.data.resident_bytes)
        self._features: dict[bool, dict[int, np.ndarray]] = {False: {}, True: {}}
        self.seconds = time.monotonic() - start
        """Seconds spent so far on work that all trainings share: loading the network and computing
        features."""

    def features(
        self,
        indices: np.ndarray,
        views: Sequence[bool],
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Features of images, float64 [views x images, features], one view after the other.

        Features that have been computed before are not computed again.

        Args:
            indices: indices of the images.
            views: True for a view of mirrored images, False for one of images as they are.
            progress: called with the number of images done, and of all.
        """
        start, total = time.monotonic(), len(views) * len(indices)
        size = batch_size(self._network.seen_size_px, self._images.device.type)
        missing = {
            flipped: np.array(
                [index for index in indices if index not in self._features[flipped]], int
            )
            for flipped in views
        }
        done = total - sum(map(len, missing.values()))

        def batches(flipped: bool) -> Iterator[tuple[int, Tensor]]:
            for first in range(0, len(missing[flipped]), size):
                batch = missing[flipped][first : first + size]
                pixels = self._images.gather(batch)
                yield len(batch), pixels.flip(2) if flipped else pixels

        for flipped in views:
            unseen = iter(missing[flipped].tolist())
            for count, output in run_batches(
                partial(classified_pixels, self._network), batches(flipped), self._images.device
            ):
                for row in output.features.double().numpy():
                    self._features[flipped][next(unseen)] = row
                done += count
                if progress is not None:
                    progress(done, total)
        self.seconds += time.monotonic() - start
        return np.stack([self._features[flipped][index] for flipped in views for index in indices])

    def with_head(self, weight: np.ndarray, bias: np.ndarray) -> PretrainedDiscriminator:
        """A classifier with this linear layer. All classifiers share the frozen network below it."""
        backbone = self._network.backbone
        network = copy.deepcopy(self._network, {id(backbone): backbone})
        with torch.no_grad():
            network.output.weight.copy_(torch.from_numpy(weight))
            network.output.bias.copy_(torch.from_numpy(bias))
        return network


def views_of(recipe: Recipe) -> list[bool]:
    """The views of each image that the layer is fitted to: True for a mirrored view."""
    mirrored = recipe.data.flip and recipe.augmentation.kind == "photographs"
    return [False, True] if mirrored else [False]


def fitting_seconds(rows: int, classes: int) -> float:
    """Approximate time, in seconds, that one core takes to fit the layer to so many rows.

    Each view of an image is a row. Measured CPU seconds with 1,280 features, for 4 and 10 classes: 0.2 and
    0.3 for 200 rows, 1.3 and 2.8 for 800, 9.8 and 17.6 for 3,200.
    """
    return 0.2 + 4.5e-7 * (classes + 1) * rows * min(rows, 1280)


@without_tf32()
def fit_frozen(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    network: FrozenNetwork | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit the linear layer of a pretrained network to the labelled images.

    It is a logistic regression on standardized features, whose regularization is chosen by cross-validation
    on the labelled images. Only the folds are random, with the recipe's seed: two fits on one machine are
    equal.

    Args:
        device: device to compute features on.
        recipe: settings, with `PretrainedSettings` as `networks`. `objective.supervised.class_weights` is
            used, and with `data.flip` and `augmentation.kind` photographs also the mirror images.
        data: the images, and the labels to learn from.
        network: the pretrained network, if several trainings share it. By default it is loaded.
        progress: called with the number of images done, and of all.

    Returns:
        The classifier; there is no baseline, no generator, and one epoch.

    Raises:
        UserError: the recipe has other networks, fewer than two classes have labels, or the pretrained
            network cannot be found.
    """
    start = time.monotonic()
    if len(np.unique(data.labels)) < 2:
        raise UserError(
            f"labels: expected labelled images of two classes or more, got {len(data.labels)} of "
            f"{len(np.unique(data.labels))}"
        )
    shared_seconds = 0.0 if network is None else network.seconds
    network = network or FrozenNetwork(device, recipe, data)
    views = views_of(recipe)
    weight, bias = fitted_head(
        network.features(data.labelled, views, progress),
        np.tile(data.labels, len(views)),
        np.tile(np.arange(len(data.labels)), len(views)),
        classes=len(data.classes),
        balanced=recipe.objective.supervised.class_weights == "balanced",
        seed=recipe.seed,
    )
    return Fitted(
        discriminator=network.with_head(weight, bias),
        baseline=None,
        generator=None,
        epoch=1,
        train_seconds=time.monotonic() - start,
        shared_seconds=shared_seconds,
    )


def fitted_head(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    classes: int,
    balanced: bool,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [classes, features] and biases [classes] of a logistic regression.

    It minimizes the mean cross-entropy plus |W|^2 / (2 C n) over n rows of standardized features. C is the
    one of `STRENGTHS` with the lowest cross-entropy on held-out images.

    Args:
        features: float64 [n, features].
        labels: int64 [n].
        groups: int64 [n]: rows of the same image, which are held out together.
        classes: number of classes; a class without labels is never predicted.
        balanced: weight each row by the inverse of the number of rows of its class.
        seed: seed of the folds.
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A feature that is the same for all images carries no information.
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    present, targets = np.unique(labels, return_inverse=True)
    rows, directions = _rotated((features - mean) * scale)

    def fitted(strength: float, indices: np.ndarray) -> LogisticRegression:
        regression = LogisticRegression(
            C=strength,
            class_weight="balanced" if balanced else None,
            tol=_TOLERANCE,
            max_iter=_MOST_ITERATIONS,
        )
        return regression.fit(rows[indices], targets[indices])

    strength, all_rows = _DEFAULT_STRENGTH, np.arange(len(rows))
    splits = _splits(targets, groups, seed)
    if splits:
        costs = [
            sum(
                -fitted(candidate, training)
                .predict_log_proba(rows[held_out])[range(len(held_out)), targets[held_out]]
                .sum()
                for training, held_out in splits
            )
            for candidate in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(costs))]
    regression = fitted(strength, all_rows)
    # From rotated and standardized features back to those of the network.
    weights = (regression.coef_ @ directions) * scale
    biases = regression.intercept_ - weights @ mean
    if len(present) == 2:
        # One row for the second class against the first.
        weights, biases = np.stack([-weights[0], weights[0]]) / 2, np.array([-1, 1]) * biases[0] / 2
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, biases.min() - _UNLABELLED_CLASS_MARGIN)
    weight[present], bias[present] = weights, biases
    return weight, bias


def _splits(
    labels: np.ndarray, groups: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training rows and held-out rows of each fold; empty if a class has only one image."""
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(labels)
    fewest = min(len(np.unique(groups[labels == label])) for label in classes)
    if fewest < 2:
        return []
    folds = StratifiedGroupKFold(min(fewest, _MOST_FOLDS), shuffle=True, random_state=seed)
    splits = list(folds.split(labels, labels, groups))
    # By chance all images of a class may be in one fold.
    return [split for split in splits if len(np.unique(labels[split[0]])) == len(classes)]


def _rotated(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in an orthonormal basis of the space that they span, and that basis.

    The penalty is the same in any orthonormal basis, and a hundred rows need at most a hundred numbers each.
    """
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    spanned = values > values.max() * 1e-10
    # If all rows are zero, one direction remains.
    spanned[0] = True
    return rows @ directions[spanned].T, directions[spanned]
