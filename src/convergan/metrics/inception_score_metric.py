"""The Inception score with its interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.inception_score import (
    SHUFFLE_SEED,
    SPLITS,
    Protocol,
    negative_entropy,
    probabilities_of_images,
    scores_of_sums,
    split_of_images,
)
from convergan.metrics.metric import (
    NOT_ASKED_FOR,
    Embedded,
    Measured,
    Metric,
    Reference,
    Spread,
)
from convergan.metrics.splits_check import SplitsCheck, check_splits
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.intervals import Interval

METHOD = "delta method with terms of second order"
METHOD_OF_SPLITS = "variance among splits, with Student's t"

IN_ORDER = "images are in some order, such as by class; --protocol shuffled has one"
"""Reason for a missing interval: images in an order are no random draw, however many there are."""

FEWEST_A_SPLIT = 20
"""Number of images in each split from which on a score has an interval."""

FEWEST_A_CLASS = 2
"""Images per class in each split from which on the variance of a score comes from derivatives. With fewer,
most of the variance is due to how many images happen to have a class in common."""

FEWEST_SPLITS = 8
"""Number of splits from which on the variance among them is known well enough."""


@dataclass(frozen=True, kw_only=True)
class InceptionScoreMetric(Metric):
    """Inception score with its interval, by the delta method.

    In a part of n images with the score e^D, image i contributes (d_i - D) e^D / n, where d_i is its
    KL( p(y|x) || p(y) ). The variance of these contributions counts the terms of second order twice. With M
    the covariance of p(y|x) / p(y)^(1/2) over the images, these have the variance e^2D |M|^2 / (2 n^2).

    If a part has fewer than `FEWEST_A_CLASS` images per class, the variance is that among the parts.

    There is no interval if the contiguous parts of a set differ by more than chance: in sorted images a part
    has few of the classes, and its score varies with the borders between them, which neither method knows of.
    """

    protocol: Protocol = "paper"
    splits: int = SPLITS
    split_seed: int = SHUFFLE_SEED
    needs_reference: ClassVar[bool] = False
    possible: ClassVar[Mapping[str, Interval]] = {"Inception score": Interval(1, math.inf)}

    def measure(
        self,
        sets: Sequence[Embedded],
        reference: Reference = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Measured]:
        for images in sets:
            if len(images) < self.splits:
                raise UserError(
                    f"Inception score: expected at least {self.splits} images, one for each split, got"
                    f" {len(images)}"
                )
        steps = Steps(progress, sum(map(len, sets)))
        classes = sets[0].logits.shape[1]
        images_per_split = min(map(len, sets)) // self.splits
        by_splits = images_per_split < FEWEST_A_CLASS * classes
        parts_of_sets = [self._parts(images, steps, by_splits=by_splits) for images in sets]
        values = [float(np.mean([part.score for part in parts])) for parts in parts_of_sets]
        stdevs = [float(np.std([part.score for part in parts])) for parts in parts_of_sets]
        spread, method = None, METHOD
        if not self.intervals:
            method = NOT_ASKED_FOR
        elif min(map(len, sets)) < FEWEST_A_SPLIT * self.splits:
            method = (
                f"no valid method is known for fewer than {FEWEST_A_SPLIT * self.splits:,} images in"
                f" {self.splits} splits"
            )
        elif by_splits and self.splits < FEWEST_SPLITS:
            method = (
                f"no valid method is known for fewer than {FEWEST_A_CLASS * classes:,} images in each of"
                f" fewer than {FEWEST_SPLITS} splits with {classes:,} classes"
            )
        # Shuffled images are in no order: a check of them would be for nothing.
        elif self.protocol == "paper" and any(self.in_order(self.check(images)) for images in sets):
            method = IN_ORDER
        elif by_splits:
            variances = [np.var([part.score for part in parts], ddof=1) for parts in parts_of_sets]
            spread = Spread(
                np.diag(variances) / self.splits, np.zeros((len(sets), len(sets))), self.splits - 1
            )
            method = METHOD_OF_SPLITS
        else:
            pairs = [
                [(part.variance, part.second_order) for part in parts] for parts in parts_of_sets
            ]
            plug_in, second = np.sum(pairs, axis=1).T / self.splits**2
            spread = Spread(np.diag(plug_in), np.diag(second))
        return [Measured("Inception score", values, spread, method, stdevs, scale=max(values))]

    def check(self, images: Embedded) -> SplitsCheck:
        """Compare the splits of a set with each other."""
        return check_splits(images.logits, self._split_of_images(len(images)))

    def in_order(self, check: SplitsCheck) -> bool:
        """Test whether the images of a check are in an order on which the score depends."""
        return self.protocol == "paper" and check.beyond_chance

    def _split_of_images(self, count: int) -> np.ndarray:
        return split_of_images(count, self.protocol, splits=self.splits, seed=self.split_seed)

    def _parts(self, images: Embedded, steps: Steps, *, by_splits: bool) -> list["_Part"]:
        split = self._split_of_images(len(images))
        parts, derivatives = [], self.intervals and not by_splits
        for number in range(self.splits):
            indices = torch.from_numpy(np.flatnonzero(split == number))
            parts.append(_part(images.logits, indices, second_order=derivatives))
            steps.take(len(indices))
        return parts


class _Part(NamedTuple):
    """Score of a part of the images, and its variance."""

    score: float
    variance: float
    """Variance by the first derivatives at the sample."""
    second_order: float
    """Variance of the terms of second order."""


def _part(logits: Tensor, indices: Tensor, *, second_order: bool) -> _Part:
    count, classes = len(indices), logits.shape[1]
    marginal = torch.zeros(classes, dtype=torch.float64)
    negative_entropies = torch.empty(count, dtype=torch.float64)
    for first, probabilities in probabilities_of_images(logits, indices):
        marginal += probabilities.sum(dim=0)
        negative_entropies[first : first + len(probabilities)] = negative_entropy(probabilities)
    marginal /= count
    score = float(scores_of_sums(marginal, negative_entropies.mean()))
    if not second_order or count < 2:
        return _Part(score, 0.0, 0.0)
    # A class that no image has is in no derivative.
    log_marginal = marginal.clamp_min(1e-300).log()
    scale = marginal.clamp_min(1e-300).rsqrt()
    moments = torch.zeros(classes, classes, dtype=torch.float64)
    divergence, own = negative_entropies, 0.0
    for first, probabilities in probabilities_of_images(logits, indices):
        divergence[first : first + len(probabilities)] -= probabilities @ log_marginal
        scaled = (probabilities - marginal) * scale
        moments.addmm_(scaled.T, scaled)
        own += float(scaled.square().sum(dim=1).square().sum())
    # Pairs of different images alone: with many classes, pairs of an image with itself would dominate.
    squares = max(0.0, float(moments.square().sum()) - own) / (count * (count - 1))
    second_order_variance = squares / (2 * count**2)
    return _Part(
        score, score**2 * float(divergence.var()) / count, score**2 * second_order_variance
    )
