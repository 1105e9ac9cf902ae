"""The Inception score of Section 4 of the paper, for any classifier, with both conventions of its splits.

    score = exp( mean over images x of KL( p(y|x) || p(y) ) ),    p(y) = mean over images of p(y|x)

The score is computed on each of several parts (splits) of the images. The result is the mean over the parts
and their standard deviation (of the population). With H the entropy, the exponent is
H(p(y)) - mean H(p(y|x)), so that two sums for each part are enough for any number of images.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from convergan.distributed import ranks
from convergan.errors import UserError
from convergan.metrics.metric_classes import MetricClass
from convergan.metrics.modes import evaluation_mode
from convergan.metrics.requirements import (
    described,
    require_indices,
    require_logits,
    require_matrix,
)

Protocol = Literal["paper", "shuffled"]

SPLITS = 10
SHUFFLE_SEED = 2020
"""Seed that torch-fidelity uses: with it, the `shuffled` protocol gives the same number."""

_CHUNK = 1024

_REPEATED = (
    "; a DistributedSampler repeats images to give all processes equally many: give process r of n the images"
    " r, r + n, r + 2 n and so on instead"
)


class SplitScore(NamedTuple):
    """Mean and standard deviation of a score over the parts of the images."""

    mean: Tensor
    """Mean score, 1 to the number of classes."""

    stdev: Tensor
    """Standard deviation of the population of parts: the variance is divided by their number."""


class InceptionScore(MetricClass):
    """Inception score of the images given to `update`, as a torchmetrics metric.

    The memory that it uses does not grow with the number of images, but this number must be known beforehand.
    The sums that it keeps are float64, also of a network in half precision. `persistent(True)` puts them into
    the `state_dict`, from which they continue.

    Args:
        network: a module that turns the images into logits [batch, classes], floats, or into an output with a
            field `logits`; `load_inception()` in the paper, `nn.Identity()` if `update` gets logits. It is
            used in evaluation mode, and left in the mode that it was in.
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
    plot_lower_bound = 1.0

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
            indices: the index of each image among all, 0 to count - 1. None: the images follow those of the
                previous call, which needs a single process.

        Raises:
            UserError: the network's logits are not floats [batch, classes], or have NaN, +inf or nothing but
                -inf for an image; or indices are not integers, one for each image.
            ValueError: indices are out of range, or missing although there are several processes.
        """
        with evaluation_mode(self.network), torch.inference_mode():
            output = self.network(images)
        logits = getattr(output, "logits", output)
        name = "logits of the network"
        require_matrix(name, logits, len(images), self.sums.shape[1] or "classes")
        require_logits(name, logits)
        if indices is None:
            if ranks() > 1:
                raise ValueError(
                    "indices: expected the index of each image among all, as there are several processes,"
                    " got None; a data set that returns each image with its place gives them"
                )
            # From the state, so that a metric that is loaded goes on where the saved one was.
            first = int(self.counts.sum())
            indices = torch.arange(first, first + len(logits))
        require_indices(indices, len(logits))
        indices = indices.cpu()
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < self.count):
            raise ValueError(
                f"indices: expected indices from 0 to {self.count - 1}, as count is {self.count},"
                f" got {int(indices.min())} to {int(indices.max())}"
            )
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
            ValueError: `update` got more or fewer images than `count`, or an index twice and another never.
        """
        image_count = int(self.counts.sum())
        if image_count != self.count:
            repeated = image_count > self.count and ranks() > 1
            raise ValueError(
                f"count: expected {self.count} images, got {image_count}"
                f"{_REPEATED if repeated else ''}"
            )
        expected = self._parts.bincount(minlength=self.splits)
        for part, (expected_count, count) in enumerate(
            zip(expected.tolist(), self.counts.tolist(), strict=True)
        ):
            if count != expected_count:
                raise ValueError(
                    f"indices: expected each index once, {expected_count} images in part {part}, got"
                    f" {count:.0f}"
                )
        scores = scores_of_sums(
            self.sums / self.counts.unsqueeze(1), self.negative_entropies / self.counts
        )
        return SplitScore(scores.mean(), scores.std(correction=0))

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
    part_of_index = np.repeat(np.arange(splits, dtype=np.int16), np.diff(first))
    if protocol == "paper":
        return part_of_index
    parts = np.empty_like(part_of_index)
    parts[np.random.RandomState(seed).permutation(count)] = part_of_index
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
        logits: logits of all images, floats; -inf for a probability of 0.
        marginal: p(y); None: the mean of p(y|x) over these images.

    Raises:
        UserError: an argument has another shape; the logits of an image have NaN, +inf or nothing but
            -inf; or p(y) is below 0 or not finite.
    """
    require_matrix("logits", logits, columns="classes")
    if marginal is not None:
        _require_marginal(marginal, logits.shape[1])
    else:
        marginal = marginal_of(logits)
    result = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
    for first in range(0, len(logits), _CHUNK):
        chunk = logits[first : first + _CHUNK]
        # Chunk by chunk, as the logits may be in a file.
        require_logits("logits", chunk, first)
        probabilities = chunk.double().softmax(dim=1)
        # Where p(y|x) is 0 the term is 0, whatever p(y).
        cross = torch.special.xlogy(probabilities, marginal.to(logits.device)).sum(dim=1)
        result[first : first + _CHUNK] = negative_entropy(probabilities) - cross
    return result


def _require_marginal(marginal: Tensor, classes: int) -> None:
    if not isinstance(marginal, Tensor) or marginal.shape != (classes,):
        raise UserError(f"marginal: expected floats [{classes}], got {described(marginal)}")
    bad = marginal[~(marginal.isfinite() & (marginal >= 0))]
    if len(bad):
        raise UserError(f"marginal: expected probabilities, got {float(bad[0])}")


def marginal_of(logits: Float[Tensor, "images classes"]) -> Float[Tensor, "classes"]:
    """Marginal p(y): the mean of p(y|x) over images, in float64, computed in chunks."""
    total = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    for chunk in logits.split(_CHUNK):
        total += chunk.double().softmax(dim=1).sum(dim=0)
    return total / len(logits)


def probabilities_of_images(logits: Tensor, indices: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Chunks of p(y|x), float64 [chunk, classes], each with the number of its first image among `indices`."""
    for number, chunk in enumerate(indices.split(_CHUNK)):
        yield number * _CHUNK, logits[chunk].double().softmax(dim=1)


def negative_entropy(probabilities: Tensor) -> Tensor:
    return torch.special.xlogy(probabilities, probabilities).sum(dim=-1)
