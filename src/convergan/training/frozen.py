"""The arm `frozen`: a linear layer, fitted to the labels, on the features of a pretrained network."""

import time
from collections.abc import Callable, Iterator
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
"""Inverse strengths of regularization that are tried: what scikit-learn calls C."""

_DEFAULT_STRENGTH = 1e-2
"""Taken where a class has a single label, so that none can be held out."""

_MOST_FOLDS = 5

_TOLERANCE = 1e-6
"""Largest slope of the cost in the end: scikit-learn's default stops where the second digit still moves."""

_MOST_ITERATIONS = 1000

_NEVER = 1e3
"""How far below the others the logit of a class without labels lies."""


@without_tf32()
def fit_frozen(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fits the linear layer of a pretrained network to the labelled images.

    Their features are computed once, and a logistic regression is fitted to them, standardized; how strongly
    it is regularized is chosen by cross-validation of the labelled images. Nothing is drawn but the folds,
    with the recipe's seed: two fits on one machine are equal.

    Args:
        device: that features are computed on.
        recipe: whose `networks` are `PretrainedSettings`; its `objective.supervised.class_weights` count, and
            with `data.flip` the mirror images are learnt from as well.
        data: the images, and the labels to learn from.
        progress: called with the number of images seen, and of all.

    Returns:
        The classifier; there is no baseline, no generator, and one epoch.

    Raises:
        UserError: the recipe has other networks; fewer than two classes have labels; the pretrained
            network is not there.
    """
    start = time.monotonic()
    if not isinstance(recipe.networks, PretrainedSettings):
        raise UserError(f"networks.kind: expected pretrained, got {recipe.networks.kind}")
    if len(np.unique(data.labels)) < 2:
        raise UserError(
            f"labels: expected labelled images of two classes or more, got {len(data.labels)} of "
            f"{len(np.unique(data.labels))}"
        )
    _, height, width, channels = data.images.shape
    network = PretrainedDiscriminator(recipe.networks, (channels, height, width), len(data.classes))
    network.load_pretrained()
    network.to(device).eval()
    images = DeviceImages(data.images, device, resident_bytes=recipe.data.resident_bytes)
    mirrored = recipe.data.flip and recipe.augmentation.kind == "photographs"
    views = [False, True] if mirrored else [False]
    features = _features(network, images, data.labelled, views, progress)
    weight, bias = fitted_head(
        features,
        np.tile(data.labels, len(views)),
        np.tile(np.arange(len(data.labels)), len(views)),
        classes=len(data.classes),
        balanced=recipe.objective.supervised.class_weights == "balanced",
        seed=recipe.seed,
    )
    with torch.no_grad():
        network.output.weight.copy_(torch.from_numpy(weight))
        network.output.bias.copy_(torch.from_numpy(bias))
    return Fitted(
        discriminator=network,
        baseline=None,
        generator=None,
        epoch=1,
        train_seconds=time.monotonic() - start,
    )


def _features(
    network: PretrainedDiscriminator,
    images: DeviceImages,
    indices: np.ndarray,
    views: list[bool],
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Features, float64 [views x images, features]: of all images as they are, then of all mirrored ones."""
    size, total = batch_size(network.seen_size_px, images.device.type), len(views) * len(indices)

    def batches(flipped: bool) -> Iterator[tuple[int, Tensor]]:
        for first in range(0, len(indices), size):
            some = indices[first : first + size]
            pixels = images.gather(some)
            yield len(some), pixels.flip(2) if flipped else pixels

    parts, done = [], 0
    for flipped in views:
        for count, output in run_batches(
            partial(classified_pixels, network), batches(flipped), images.device
        ):
            parts.append(output.features)
            done += count
            if progress is not None:
                progress(done, total)
    return torch.cat(parts).double().numpy()


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

    It minimizes the mean cross-entropy plus |W|^2 / (2 C n) over n standardized features, with the C of
    `STRENGTHS` of which images held out have the least cross-entropy.

    Args:
        features: float64 [n, features].
        labels: int64 [n].
        groups: int64 [n]: rows of the same image, which are held out together.
        classes: number of classes; one without labels is never said.
        balanced: weight each row by the inverse of how many its class has.
        seed: of the folds.
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A feature that is the same for all images says nothing.
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    present, known = np.unique(labels, return_inverse=True)
    rows, directions = _rotated((features - mean) * scale)

    def fitted(strength: float, chosen: np.ndarray) -> LogisticRegression:
        regression = LogisticRegression(
            C=strength,
            class_weight="balanced" if balanced else None,
            tol=_TOLERANCE,
            max_iter=_MOST_ITERATIONS,
        )
        return regression.fit(rows[chosen], known[chosen])

    strength, everything = _DEFAULT_STRENGTH, np.arange(len(rows))
    splits = _splits(known, groups, seed)
    if splits:
        costs = [
            sum(
                -fitted(each, kept)
                .predict_log_proba(rows[held])[range(len(held)), known[held]]
                .sum()
                for kept, held in splits
            )
            for each in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(costs))]
    regression = fitted(strength, everything)
    # Back from rotated and standardized features to those that the network gives.
    weights = (regression.coef_ @ directions) * scale
    biases = regression.intercept_ - weights @ mean
    if len(present) == 2:
        # One row for the second class against the first.
        weights, biases = np.stack([-weights[0], weights[0]]) / 2, np.array([-1, 1]) * biases[0] / 2
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, biases.min() - _NEVER)
    weight[present], bias[present] = weights, biases
    return weight, bias


def _splits(
    labels: np.ndarray, groups: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows kept and rows held out in each fold; none where a class has one image alone."""
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(labels)
    least = min(len(np.unique(groups[labels == each])) for each in classes)
    if least < 2:
        return []
    folds = StratifiedGroupKFold(min(least, _MOST_FOLDS), shuffle=True, random_state=seed)
    splits = list(folds.split(labels, labels, groups))
    # By chance all images of a class may be in one fold.
    return [split for split in splits if len(np.unique(labels[split[0]])) == len(classes)]


def _rotated(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in an orthonormal basis of the space that they span, and that basis.

    The penalty is the same in any basis, and a hundred rows need no more than a hundred numbers each.
    """
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    spanned = values > values.max() * 1e-10
    # Of rows that are all the same, one that says nothing.
    spanned[0] = True
    return rows @ directions[spanned].T, directions[spanned]
