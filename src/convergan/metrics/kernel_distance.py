"""The kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401): squared maximum mean discrepancy.

    KID = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)
    k(a, b) = (a . b / d + 1)^3

It is unbiased, so that few images make it noisy but not high. The field averages it over 100 random subsets
of 1,000 images; over all pairs of all images it has the same expectation, less noise and no seed.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance as _TorchmetricsKID
from torchmetrics.utilities.data import dim_zero_cat

from convergan.errors import UserError
from convergan.metrics.frechet import FeaturesAlone
from convergan.metrics.metric import (
    Embedded,
    Measured,
    Metric,
    Reference,
    Weights,
    images_of,
    require_images,
)
from convergan.metrics.steps import Progress, Steps

SUBSETS = 100
SUBSET_SIZE = 1000

_CHUNK = 2048


class SubsetDistance(NamedTuple):
    """A distance and its spread over subsets."""

    mean: Tensor
    stdev: Tensor
    """Of the population of subsets; 0 for one."""


def kernel_distance(
    first: Float[Tensor, "n features"],
    second: Float[Tensor, "m features"],
    first_weights: Float[Tensor, "replicates n"] | None = None,
    second_weights: Float[Tensor, "replicates m"] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "replicates"]:
    """KID over all pairs, in float64, a few thousand images at a time.

    Args:
        first: at least 2 images.
        second: at least 2 images.
        first_weights: how often each image counts in every replicate; None: once, in one replicate. A
            pair of the same image never counts, however often the image does.
        second_weights: like `first_weights`, with as many replicates. One that holds a single image has no
            pairs: its distance is NaN.
        progress: called with the number of parts of the kernel's matrix that are done, and of all.

    Raises:
        UserError: fewer than two images.
        ValueError: features of different length.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"expected as many features, got {first.shape[1]} and {second.shape[1]} of them"
        )
    if min(len(first), len(second)) < 2:
        raise UserError(f"KID: expected at least 2 images, got {len(first)} and {len(second)}")
    x, y = _weights(first, first_weights), _weights(second, second_weights)
    n, m = (math.ceil(len(some) / _CHUNK) for some in (first, second))
    steps = Steps(progress, n * (n + 1) // 2 + m * (m + 1) // 2 + n * m)
    return (
        _mean_kernel(first, first, x, x, steps, same=True)
        + _mean_kernel(second, second, y, y, steps, same=True)
        - 2 * _mean_kernel(first, second, x, y, steps, same=False)
    )


def kernel_distance_of_subsets(
    first: Float[Tensor, "n features"],
    second: Float[Tensor, "m features"],
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
    progress: Progress | None = None,
) -> SubsetDistance:
    """KID as the field reports it: of random subsets, drawn without replacement.

    Args:
        first: at least as many images as a subset has.
        second: likewise.
        subsets: how many.
        subset_size: images of either kind in each.
        seed: of the draws.
        progress: called with the number of subsets done and of all.

    Raises:
        ValueError: fewer images than a subset has.
    """
    if min(len(first), len(second)) < subset_size:
        raise ValueError(
            f"subset_size: expected at most {min(len(first), len(second))}, the number of images, got "
            f"{subset_size}"
        )
    generator = torch.Generator().manual_seed(seed)

    def some(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:subset_size]]

    steps = Steps(progress, subsets)
    distances = []
    for _ in range(subsets):
        distances.append(kernel_distance(some(first), some(second)))
        steps.take()
    values = torch.cat(distances)
    return SubsetDistance(values.mean(), values.std(correction=0))


class KernelInceptionDistance(_TorchmetricsKID):
    """torchmetrics' metric, with our network, seeded subsets and float64.

    Args:
        network: gives features [batch, d], or an output with a field `features`.
        subsets: how many; 0: one of all images.
        subset_size: images in each.
        seed: of the draws.
        options: of torchmetrics' metric.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        subsets: int = 0,
        subset_size: int = SUBSET_SIZE,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(
            feature=FeaturesAlone(network),
            subsets=max(subsets, 1),
            subset_size=subset_size,
            **options,
        )
        self.subsets, self.seed = subsets, seed

    def compute(self) -> SubsetDistance:
        """Mean and standard deviation over the subsets, in float64."""
        real, generated = dim_zero_cat(self.real_features), dim_zero_cat(self.fake_features)
        if not self.subsets:
            value = kernel_distance(real, generated)[0]
            return SubsetDistance(value, torch.zeros_like(value))
        return kernel_distance_of_subsets(
            real, generated, subsets=self.subsets, subset_size=self.subset_size, seed=self.seed
        )


@dataclass(frozen=True, kw_only=True)
class KernelMetric(Metric):
    """Kernel distance with its interval, which is of all pairs, also where the number is of subsets."""

    replicates: int = 200
    subsets: int = 0
    """0: one of all images."""
    subset_size: int = SUBSET_SIZE
    subset_seed: int = 0

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        real = images_of(reference, "KID")
        require_images("KID", 2, images, real)
        values, stdev = {}, None
        if self.subsets:
            if min(len(images), len(real)) < self.subset_size:
                raise UserError(
                    f"kid-subset-size: expected at most {min(len(images), len(real))}, the number of"
                    f" images, got {self.subset_size}"
                )
            of_subsets = kernel_distance_of_subsets(
                images.features,
                real.features,
                subsets=self.subsets,
                subset_size=self.subset_size,
                seed=self.subset_seed,
                progress=progress,
            )
            values, stdev = {"KID": float(of_subsets.mean)}, float(of_subsets.stdev)

        def of_weights(
            weights: np.ndarray, reference_weights: Weights, progress: Progress | None
        ) -> dict[str, np.ndarray]:
            assert reference_weights is not None
            distances = kernel_distance(
                images.features,
                real.features,
                torch.from_numpy(weights),
                torch.from_numpy(reference_weights),
                progress,
            )
            return {"KID": distances.numpy()}

        return Measured(of_weights, values, stdev)


def _weights(features: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return torch.ones(1, len(features), dtype=torch.float64, device=features.device)
    return weights.double()


def _mean_kernel(
    first: Tensor, second: Tensor, x: Tensor, y: Tensor, steps: Steps, *, same: bool
) -> Tensor:
    """Weighted means of the kernel over all pairs, without those of the same image."""
    sums = torch.zeros(len(x), dtype=torch.float64, device=first.device)
    for row in range(0, len(first), _CHUNK):
        rows = first[row : row + _CHUNK].double()
        # Of the same images the matrix is symmetric: the half below the diagonal is that above it.
        for column in range(row if same else 0, len(second), _CHUNK):
            columns = second[column : column + _CHUNK].double()
            kernel = (rows @ columns.T).div_(first.shape[1]).add_(1).pow_(3)
            weighed = x[:, row : row + _CHUNK] @ kernel
            part = (weighed * y[:, column : column + _CHUNK]).sum(dim=1)
            sums += 2 * part if same and column > row else part
            steps.take()
    pairs = x.sum(dim=1) * y.sum(dim=1)
    if same:
        own = torch.cat([part.double().square().sum(dim=1) for part in first.split(_CHUNK)])
        sums -= x.square() @ (own / first.shape[1] + 1).pow(3)
        pairs -= x.square().sum(dim=1)
    return (sums / pairs).where(pairs > 0, torch.nan)
