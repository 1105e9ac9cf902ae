"""The Inception score of Section 4 of the paper, for any classifier, with both conventions of its splits.

    score = exp( mean over images x of KL( p(y|x) || p(y) ) ),    p(y) = mean over images of p(y|x)

The score is computed on each of several parts (splits) of the images. The result is the mean over the parts
and their standard deviation (of the population). With H the entropy, the exponent is
H(p(y)) - mean H(p(y|x)), so that two sums for each part are enough for any number of images.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn
from torchmetrics import Metric as _TorchmetricsMetric
from torchmetrics.utilities.distributed import gather_all_tensors

from convergan.distributed import ranks
from convergan.errors import UserError
from convergan.metrics.metric import (
    NOT_ASKED_FOR,
    Embedded,
    Measured,
    Metric,
    Reference,
    Spread,
)
from convergan.metrics.modes import evaluation_mode
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.intervals import Interval

Protocol = Literal["paper", "shuffled"]

SPLITS = 10
SHUFFLE_SEED = 2020
"""Seed that torch-fidelity uses: with it, the `shuffled` protocol gives the same number."""

METHOD = "delta method with terms of second order"
METHOD_OF_SPLITS = "variance among splits, with Student's t"

FEWEST_A_SPLIT = 20
"""Number of images in each split from which on a score has an interval."""

FEWEST_A_CLASS = 2
"""Images per class in each split from which on the variance of a score comes from derivatives. With fewer,
most of the variance is due to how many images happen to have a class in common."""

FEWEST_SPLITS = 8
"""Number of splits from which on the variance among them is known well enough."""

_CHUNK = 1024


class SplitScore(NamedTuple):
    """Mean and standard deviation of a score over the parts of the images."""

    mean: Tensor
    """Mean score, 1 to the number of classes."""

    stdev: Tensor
    """Standard deviation of the population of parts: the variance is divided by their number."""


class InceptionScore(_TorchmetricsMetric):
    """Inception score of the images given to `update`, as a torchmetrics metric.

    The memory that it uses does not grow with the number of images, but this number must be known beforehand.

    Args:
        network: a module that turns the images into logits [batch, classes], or into an output with a field
            `logits`; `load_inception()` in the paper, `nn.Identity()` if `update` gets logits. It is used in
            evaluation mode, and left in the mode that it was in.
        count: number of images, on all ranks together; at least `splits`.
        protocol: `paper`: contiguous parts of the images in their order. `shuffled`: contiguous parts of a
            random order, drawn by NumPy's `RandomState(seed)`.
        splits: number of parts.
        seed: seed of the `shuffled` order.
        options: options of `torchmetrics.Metric`.

    Raises:
        ValueError: an argument is out of its range.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    sums: Tensor
    negative_entropies: Tensor
    counts: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        count: int,
        protocol: Protocol = "paper",
        splits: int = SPLITS,
        seed: int = SHUFFLE_SEED,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.network = network
        self.count = count
        self._parts = torch.from_numpy(split_of_images(count, protocol, splits=splits, seed=seed))
        self._image_count = 0
        self.splits = splits
        zeros = torch.zeros(splits, dtype=torch.float64)
        # The number of classes is known from the first images on.
        self.add_state("sums", torch.zeros(splits, 0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("negative_entropies", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("counts", zeros.clone(), dist_reduce_fx="sum")

    def update(
        self,
        images: UInt8[Tensor, "batch channels height width"] | Tensor,
        indices: Int[Tensor, "batch"] | None = None,
    ) -> None:
        """Add images.

        Args:
            images: input of the network.
            indices: the place of each image among all, 0 to count - 1. None: the images follow those of the
                previous call, which needs a single process.

        Raises:
            ValueError: indices are out of range, or missing although there are several processes.
        """
        with evaluation_mode(self.network), torch.inference_mode():
            output = self.network(images)
        logits = getattr(output, "logits", output)
        if indices is None:
            if ranks() > 1:
                raise ValueError(
                    "indices: expected the place of each image among all, as there are several processes,"
                    " got None"
                )
            indices = torch.arange(self._image_count, self._image_count + len(logits))
        indices = indices.cpu()
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < self.count):
            raise ValueError(
                f"indices: expected places from 0 to {self.count - 1}, as count is {self.count},"
                f" got {int(indices.min())} to {int(indices.max())}"
            )
        self._image_count += len(logits)
        parts = self._parts[indices].to(logits.device, torch.int64)
        if self.sums.shape[1] == 0:
            self.sums = self.sums.new_zeros(self.splits, logits.shape[1])
        probabilities = logits.double().softmax(dim=1)
        negative_entropies = negative_entropy(probabilities)
        self._batch_score = scores_of_sums(probabilities.mean(dim=0), negative_entropies.mean())
        self.sums.index_add_(0, parts, probabilities)
        self.negative_entropies.index_add_(0, parts, negative_entropies)
        self.counts.index_add_(0, parts, torch.ones_like(parts, dtype=torch.float64))

    def forward(
        self, images: Shaped[Tensor, "batch *image"], indices: Int[Tensor, "batch"] | None = None
    ) -> SplitScore:
        """Add images, as `update` does.

        Returns:
            The score of these images alone, as one part. It is lower than that of more such images.
        """
        self.update(images, indices)
        score = SplitScore(self._batch_score, torch.zeros_like(self._batch_score))
        # Other metrics of torchmetrics keep it here, and Lightning looks for it here.
        self._forward_cache = score  # type: ignore[assignment]
        return score

    def compute(self) -> SplitScore:
        """Compute mean and standard deviation of the score over the parts, in float64.

        Raises:
            ValueError: `update` got more or fewer images than `count`, or some places twice and others never.
        """
        image_count = int(self.counts.sum())
        if image_count != self.count:
            raise ValueError(f"count: expected {self.count} images, got {image_count}")
        expected = self._parts.bincount(minlength=self.splits)
        for part, (expected_count, count) in enumerate(
            zip(expected.tolist(), self.counts.tolist(), strict=True)
        ):
            if count != expected_count:
                raise ValueError(
                    f"indices: expected each place once, {expected_count} images in part {part}, got"
                    f" {count:.0f}"
                )
        scores = scores_of_sums(
            self.sums / self.counts.unsqueeze(1), self.negative_entropies / self.counts
        )
        return SplitScore(scores.mean(), scores.std(correction=0))

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._image_count = 0

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None
    ) -> None:
        # A process without images does not know the number of classes.
        own = torch.tensor(self.sums.shape[1], device=self.device)
        classes = max(map(int, dist_sync_fn(own, group=process_group or self.process_group)))
        if not own:
            self.sums = self.sums.new_zeros(self.splits, classes)
        super()._sync_dist(dist_sync_fn, process_group)


def split_of_images(
    count: int, protocol: Protocol, *, splits: int = SPLITS, seed: int = SHUFFLE_SEED
) -> np.ndarray:
    """Part that each image belongs to, int16 [count].

    Part s begins at place floor(s count / splits), as in the authors' code. See `InceptionScore` for the
    arguments.

    Raises:
        ValueError: fewer images than parts, or an unknown protocol.
    """
    if splits < 1:
        raise ValueError(f"splits: expected 1 or more, got {splits}")
    if count < splits:
        raise ValueError(
            f"count: expected at least {splits} images, one for each part, got {count}"
        )
    if protocol not in ("paper", "shuffled"):
        raise ValueError(f"protocol: expected paper or shuffled, got {protocol}")
    first = np.arange(splits + 1) * count // splits
    part_of_place = np.repeat(np.arange(splits, dtype=np.int16), np.diff(first))
    if protocol == "paper":
        return part_of_place
    parts = np.empty_like(part_of_place)
    parts[np.random.RandomState(seed).permutation(count)] = part_of_place
    return parts


def scores_of_sums(
    marginals: Float[Tensor, "... classes"], negative_entropies: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Inception scores exp( H(p(y)) - mean H(p(y|x)) ), from p(y) and the mean of -H(p(y|x))."""
    return torch.exp(negative_entropies - negative_entropy(marginals))


def divergences(
    logits: Float[Tensor, "images classes"], marginal: Float[Tensor, "classes"] | None = None
) -> Float[Tensor, "images"]:
    """Compute KL( p(y|x) || p(y) ) of every image, in nats, in float64.

    The Inception score is the exponential of its mean. Single images are ranked "by Inception score" by it.

    Args:
        logits: logits of all images.
        marginal: p(y); None: the mean of p(y|x) over these images.
    """
    if marginal is None:
        marginal = marginal_of(logits)
    result = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
    for first in range(0, len(logits), _CHUNK):
        probabilities = logits[first : first + _CHUNK].double().softmax(dim=1)
        # Where p(y|x) is 0 the term is 0, whatever p(y).
        cross = torch.special.xlogy(probabilities, marginal.to(logits.device)).sum(dim=1)
        result[first : first + _CHUNK] = negative_entropy(probabilities) - cross
    return result


def marginal_of(logits: Float[Tensor, "images classes"]) -> Float[Tensor, "classes"]:
    """Marginal p(y): the mean of p(y|x) over images, in float64, computed in chunks."""
    total = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    for chunk in logits.split(_CHUNK):
        total += chunk.double().softmax(dim=1).sum(dim=0)
    return total / len(logits)


@dataclass(frozen=True, kw_only=True)
class InceptionScoreMetric(Metric):
    """Inception score with its interval, by the delta method.

    In a part of n images with the score e^D, image i contributes (d_i - D) e^D / n, where d_i is its
    KL( p(y|x) || p(y) ). The variance of these contributions counts the terms of second order twice. With M
    the covariance of p(y|x) / p(y)^(1/2) over the images, these have the variance e^2D |M|^2 / (2 n^2).

    If a part has fewer than `FEWEST_A_CLASS` images per class, the variance is that among the parts.
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

    def _parts(self, images: Embedded, steps: Steps, *, by_splits: bool) -> list["_Part"]:
        splits, seed = self.splits, self.split_seed
        order = split_of_images(len(images), self.protocol, splits=splits, seed=seed)
        parts, derivatives = [], self.intervals and not by_splits
        for number in range(self.splits):
            places = torch.from_numpy(np.flatnonzero(order == number))
            parts.append(_part(images.logits, places, second_order=derivatives))
            steps.take(len(places))
        return parts


class _Part(NamedTuple):
    """Score of a part of the images, and its variance."""

    score: float
    variance: float
    """Variance by the first derivatives at the sample."""
    second_order: float
    """Variance of the terms of second order."""


def _part(logits: Tensor, places: Tensor, *, second_order: bool) -> _Part:
    count, classes = len(places), logits.shape[1]
    marginal = torch.zeros(classes, dtype=torch.float64)
    negative_entropies = torch.empty(count, dtype=torch.float64)
    for first, probabilities in probabilities_of_images(logits, places):
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
    for first, probabilities in probabilities_of_images(logits, places):
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


def probabilities_of_images(logits: Tensor, places: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Chunks of p(y|x), float64 [chunk, classes], each with the number of its first image among `places`."""
    for number, chunk in enumerate(places.split(_CHUNK)):
        yield number * _CHUNK, logits[chunk].double().softmax(dim=1)


def negative_entropy(probabilities: Tensor) -> Tensor:
    return torch.special.xlogy(probabilities, probabilities).sum(dim=-1)
