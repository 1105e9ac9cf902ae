"""The Inception score of Section 4, of any classifier, in its two conventions.

    score = exp( mean over images x of KL( p(y|x) || p(y) ) ),    p(y) = mean over images of p(y|x)

computed on each of several parts of the images; the result is the mean over the parts and, beside it, their
standard deviation (of the population). With H the entropy, the exponent is H(p(y)) - mean H(p(y|x)): two sums
a part are enough, whatever the number of images.
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
"""torch-fidelity's: with it, its score and the `shuffled` protocol's are the same number."""

METHOD = "delta method, with terms of second order"
METHOD_OF_SPLITS = "variance among splits, Student's t"

FEWEST_A_SPLIT = 20
"""Images in each split of a score that has an interval."""

FEWEST_A_CLASS = 2
"""Images in each split, for each class, from which derivatives tell the variance of its score. With fewer
most of it is due to how many images happen to have a class in common."""

FEWEST_SPLITS = 8
"""Splits whose variance is known well enough."""

_CHUNK = 1024


class SplitScore(NamedTuple):
    """A score and its spread over the parts of the images."""

    mean: Tensor
    """1 to the number of classes."""

    stdev: Tensor
    """Of the population of parts: divided by their number."""


class InceptionScore(_TorchmetricsMetric):
    """The Inception score of the images given to `update`, as a torchmetrics metric.

    Its memory does not grow with the images, but the parts they fall into must be known beforehand.

    Args:
        network: gives logits [batch, classes], or an output with a field `logits`, of what `update` is
            given; as the paper has it, `load_inception()`. `nn.Identity()` where `update` gets logits. It is
            used in evaluation mode, and left in the mode that it was in.
        count: how many images there will be, on all ranks together; at least `splits`.
        protocol: `paper`: contiguous parts of the images in their order. `shuffled`: of the images in an
            order drawn by NumPy's `RandomState(seed)`.
        splits: the number of parts.
        seed: of the `shuffled` order.
        options: of `torchmetrics.Metric`.

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
        self._seen = 0
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
        """Adds images.

        Args:
            images: what the network takes.
            indices: each image's place among all of them, 0 to count - 1. None: they follow those of the
                call before, which needs a single process.

        Raises:
            ValueError: indices are missing where there are several processes, or out of range.
        """
        with evaluation_mode(self.network), torch.inference_mode():
            output = self.network(images)
        logits = getattr(output, "logits", output)
        if indices is None:
            if ranks() > 1:
                raise ValueError(
                    "indices: expected each image's place among all, as there are several processes,"
                    " got None"
                )
            indices = torch.arange(self._seen, self._seen + len(logits))
        indices = indices.cpu()
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < self.count):
            raise ValueError(
                f"indices: expected places from 0 to {self.count - 1}, as count is {self.count},"
                f" got {int(indices.min())} to {int(indices.max())}"
            )
        self._seen += len(logits)
        parts = self._parts[indices].to(logits.device, torch.int64)
        if self.sums.shape[1] == 0:
            self.sums = self.sums.new_zeros(self.splits, logits.shape[1])
        probabilities = logits.double().softmax(dim=1)
        negative_entropies = negative_entropy(probabilities)
        self._of_batch = scores_of_sums(probabilities.mean(dim=0), negative_entropies.mean())
        self.sums.index_add_(0, parts, probabilities)
        self.negative_entropies.index_add_(0, parts, negative_entropies)
        self.counts.index_add_(0, parts, torch.ones_like(parts, dtype=torch.float64))

    def forward(
        self, images: Shaped[Tensor, "batch *image"], indices: Int[Tensor, "batch"] | None = None
    ) -> SplitScore:
        """Adds images, as `update` does.

        Returns:
            The score of these images alone, as one part: lower than that of more of the same kind.
        """
        self.update(images, indices)
        score = SplitScore(self._of_batch, torch.zeros_like(self._of_batch))
        # Where others of torchmetrics keep it, and Lightning looks for it.
        self._forward_cache = score  # type: ignore[assignment]
        return score

    def compute(self) -> SplitScore:
        """Mean and standard deviation over the parts, in float64.

        Raises:
            ValueError: there have been more or fewer images than `count`, or some of their places were given
                twice and others never.
        """
        seen = int(self.counts.sum())
        if seen != self.count:
            raise ValueError(f"count: expected {self.count} images, got {seen}")
        expected = self._parts.bincount(minlength=self.splits)
        for part, (of_part, got) in enumerate(
            zip(expected.tolist(), self.counts.tolist(), strict=True)
        ):
            if got != of_part:
                raise ValueError(
                    f"indices: expected each place once, {of_part} images in part {part}, got {got:.0f}"
                )
        scores = scores_of_sums(
            self.sums / self.counts.unsqueeze(1), self.negative_entropies / self.counts
        )
        return SplitScore(scores.mean(), scores.std(correction=0))

    def reset(self) -> None:
        """Forgets all images."""
        super().reset()
        self._seen = 0

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None
    ) -> None:
        # A process without images does not know how many classes there are.
        own = torch.tensor(self.sums.shape[1], device=self.device)
        classes = max(map(int, dist_sync_fn(own, group=process_group or self.process_group)))
        if not own:
            self.sums = self.sums.new_zeros(self.splits, classes)
        super()._sync_dist(dist_sync_fn, process_group)


def split_of_images(
    count: int, protocol: Protocol, *, splits: int = SPLITS, seed: int = SHUFFLE_SEED
) -> np.ndarray:
    """int16 [count]: the part that each image falls into; part s holds the places from
    floor(s count / splits) on, as in the authors' code.

    Raises:
        ValueError: fewer images than parts, or an unknown protocol.
    """
    if splits < 1:
        raise ValueError(f"splits: expected 1 or more, got {splits}")
    if count < splits:
        raise ValueError(f"count: expected at least {splits} images, one a part, got {count}")
    if protocol not in ("paper", "shuffled"):
        raise ValueError(f"protocol: expected paper or shuffled, got {protocol}")
    first = np.arange(splits + 1) * count // splits
    of_place = np.repeat(np.arange(splits, dtype=np.int16), np.diff(first))
    if protocol == "paper":
        return of_place
    parts = np.empty_like(of_place)
    parts[np.random.RandomState(seed).permutation(count)] = of_place
    return parts


def scores_of_sums(
    marginals: Float[Tensor, "... classes"], negative_entropies: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """exp( H(p(y)) - mean H(p(y|x)) ) from p(y) and the mean of -H(p(y|x))."""
    return torch.exp(negative_entropies - negative_entropy(marginals))


def divergences(
    logits: Float[Tensor, "images classes"], marginal: Float[Tensor, "classes"] | None = None
) -> Float[Tensor, "images"]:
    """KL( p(y|x) || p(y) ) of every image in nats: what the score is the exponential of the mean of.

    This is the quantity by which single images are ranked "by Inception score".

    Args:
        logits: of all images.
        marginal: p(y); None: the mean over these images.
    """
    if marginal is None:
        marginal = marginal_of(logits)
    found = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
    for first in range(0, len(logits), _CHUNK):
        probabilities = logits[first : first + _CHUNK].double().softmax(dim=1)
        # Where p(y|x) is 0 the term is 0, whatever p(y).
        cross = torch.special.xlogy(probabilities, marginal.to(logits.device)).sum(dim=1)
        found[first : first + _CHUNK] = negative_entropy(probabilities) - cross
    return found


def marginal_of(logits: Float[Tensor, "images classes"]) -> Float[Tensor, "classes"]:
    """p(y), the mean of p(y|x) over images, in float64, a thousand of them at a time."""
    total = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    for some in logits.split(_CHUNK):
        total += some.double().softmax(dim=1).sum(dim=0)
    return total / len(logits)


@dataclass(frozen=True, kw_only=True)
class InceptionScoreMetric(Metric):
    """Inception score with its interval.

    In a part of n images with the score e^D an image adds (d_i - D) e^D / n, where d_i is its
    KL( p(y|x) || p(y) ): the delta method. Terms of second order are in these twice; with M the covariance of
    p(y|x) / p(y)^(1/2) over the images, they have the variance e^2D |M|^2 / (2 n^2).

    With fewer images in a part than `FEWEST_A_CLASS` a class the variance is that among the parts.
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
                    f"Inception score: expected at least {self.splits} images, one a split, got"
                    f" {len(images)}"
                )
        steps = Steps(progress, sum(map(len, sets)))
        classes = sets[0].logits.shape[1]
        fewest = min(map(len, sets)) // self.splits
        by_splits = fewest < FEWEST_A_CLASS * classes
        found = [self._parts(images, steps, by_splits=by_splits) for images in sets]
        values = [float(np.mean([part.score for part in parts])) for parts in found]
        stdevs = [float(np.std([part.score for part in parts])) for parts in found]
        spread, method = None, METHOD
        if not self.intervals:
            method = NOT_ASKED_FOR
        elif min(map(len, sets)) < FEWEST_A_SPLIT * self.splits:
            method = (
                f"none known to hold for fewer than {FEWEST_A_SPLIT * self.splits:,} images in"
                f" {self.splits} splits"
            )
        elif by_splits and self.splits < FEWEST_SPLITS:
            method = (
                f"none known to hold for fewer than {FEWEST_A_CLASS * classes:,} images a split, with"
                f" {classes:,} classes, in fewer than {FEWEST_SPLITS} splits"
            )
        elif by_splits:
            variances = [np.var([part.score for part in parts], ddof=1) for parts in found]
            spread = Spread(
                np.diag(variances) / self.splits, np.zeros((len(sets), len(sets))), self.splits - 1
            )
            method = METHOD_OF_SPLITS
        else:
            spread = Spread(
                np.diag([_of_mean([part.variance for part in parts]) for parts in found]),
                np.diag([_of_mean([part.second_order for part in parts]) for parts in found]),
            )
        return [Measured("Inception score", values, spread, method, stdevs, scale=max(values))]

    def _parts(self, images: Embedded, steps: Steps, *, by_splits: bool) -> list["_Part"]:
        parts = split_of_images(
            len(images), self.protocol, splits=self.splits, seed=self.split_seed
        )
        found = []
        for part in range(self.splits):
            places = torch.from_numpy(np.flatnonzero(parts == part))
            found.append(
                _part(images.logits, places, second_order=self.intervals and not by_splits)
            )
            steps.take(len(places))
        return found


def _of_mean(variances: Sequence[float]) -> float:
    """The variance of a mean of independent numbers."""
    return sum(variances) / len(variances) ** 2


class _Part(NamedTuple):
    """The score of a part of the images, and how it varies."""

    score: float
    variance: float
    """By the first derivatives at the sample."""
    second_order: float


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
    # Of different images: with many classes the square of each image with itself would be most of the sum.
    squares = max(0.0, float(moments.square().sum()) - own) / (count * (count - 1))
    of_second = squares / (2 * count**2)
    return _Part(score, score**2 * float(divergence.var()) / count, score**2 * of_second)


def probabilities_of_images(logits: Tensor, places: Tensor) -> Iterator[tuple[int, Tensor]]:
    """p(y|x) of some images at a time, and the first one's number among them; float64."""
    for number, some in enumerate(places.split(_CHUNK)):
        yield number * _CHUNK, logits[some].double().softmax(dim=1)


def negative_entropy(probabilities: Tensor) -> Tensor:
    return torch.special.xlogy(probabilities, probabilities).sum(dim=-1)
