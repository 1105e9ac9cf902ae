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
"""Inverse strengths of regularization that are tried: what scikit-learn calls C."""

_DEFAULT_STRENGTH = 1e-2
"""Taken where a class has a single label, so that none can be held out."""

_MOST_FOLDS = 5

_TOLERANCE = 1e-6
"""Largest slope of the cost in the end: scikit-learn's default stops where the second digit still moves."""

_MOST_ITERATIONS = 1000

_NEVER = 1e3
"""How far below the others the logit of a class without labels lies."""


class FrozenNetwork:
    """The pretrained network of a run, loaded once, and the features of its labelled images, computed once.

    Args:
        device: that features are computed on.
        recipe: whose `networks` are `PretrainedSettings`.
        data: the images; every training of the run has the same, and other labels.

    Raises:
        UserError: the recipe has other networks; the pretrained network is not there.
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
        """Seconds spent so far on what all trainings share: loading the network, and the features."""

    def features(
        self,
        indices: np.ndarray,
        views: Sequence[bool],
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Features, float64 [views x images, features]: of all images as they are, then of all mirrored ones.

        Those of images that it has seen already are the same numbers again.

        Args:
            indices: of the images.
            views: for each view, whether it is mirrored.
            progress: called with the number of images seen, and of all.
        """
        start, total = time.monotonic(), len(views) * len(indices)
        size = batch_size(self._network.seen_size_px, self._images.device.type)
        missing = {
            flipped: np.array(
                [each for each in indices if each not in self._features[flipped]], int
            )
            for flipped in views
        }
        done = total - sum(map(len, missing.values()))

        def batches(flipped: bool) -> Iterator[tuple[int, Tensor]]:
            for first in range(0, len(missing[flipped]), size):
                some = missing[flipped][first : first + size]
                pixels = self._images.gather(some)
                yield len(some), pixels.flip(2) if flipped else pixels

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
        return np.stack([self._features[flipped][each] for flipped in views for each in indices])

    def with_head(self, weight: np.ndarray, bias: np.ndarray) -> PretrainedDiscriminator:
        """A classifier with this linear layer; the frozen network below it is the one that all share."""
        backbone = self._network.backbone
        network = copy.deepcopy(self._network, {id(backbone): backbone})
        with torch.no_grad():
            network.output.weight.copy_(torch.from_numpy(weight))
            network.output.bias.copy_(torch.from_numpy(bias))
        return network


def views_of(recipe: Recipe) -> list[bool]:
    """The views of each image that the layer is fitted to: for each, whether it is mirrored."""
    mirrored = recipe.data.flip and recipe.augmentation.kind == "photographs"
    return [False, True] if mirrored else [False]


def fitting_seconds(rows: int, classes: int) -> float:
    """About how long a core takes to fit the layer to so many rows, of images and mirror images.

    Measured with 1,280 features, in CPU seconds for 4 and 10 classes: 0.2 and 0.3 for 200 rows, 1.3 and 2.8
    for 800, 9.8 and 17.6 for 3,200.
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
    """Fits the linear layer of a pretrained network to the labelled images.

    Their features are computed once, and a logistic regression is fitted to them, standardized; how strongly
    it is regularized is chosen by cross-validation of the labelled images. Nothing is drawn but the folds,
    with the recipe's seed: two fits on one machine are equal.

    Args:
        device: that features are computed on.
        recipe: whose `networks` are `PretrainedSettings`; its `objective.supervised.class_weights` count, and
            with `data.flip` the mirror images are learnt from as well.
        data: the images, and the labels to learn from.
        network: the pretrained network, where several trainings share it; it is loaded otherwise.
        progress: called with the number of images seen, and of all.

    Returns:
        The classifier; there is no baseline, no generator, and one epoch.

    Raises:
        UserError: the recipe has other networks; fewer than two classes have labels; the pretrained
            network is not there.
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
