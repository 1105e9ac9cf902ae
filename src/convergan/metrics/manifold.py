"""Precision, recall, density and coverage: how far the generated and the real images overlap.

The manifold of a set of images is the union of balls around their features, each with the distance to the
k-th nearest other image of the set as its radius.

* Precision: the share of generated images in a real ball. Recall: the share of real images in a generated
  ball (Kynkäänniemi et al. 2019, arXiv 1904.06991; k = 3).
* Density: the mean number of real balls that a generated image is in, over k. Coverage: the share of real
  balls with a generated image in them (Naeem et al. 2020, arXiv 2002.09797; k = 5).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.membership import Membership
from convergan.metrics.metric import (
    Embedded,
    Measured,
    Metric,
    Reference,
    images_of,
    require_images,
)
from convergan.metrics.neighbours import distance_chunks, nearest
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.intervals import Interval

PRECISION_NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5

_REPLICATES = 128
"""At a time."""


NumberT = TypeVar("NumberT", float, np.ndarray)


class Overlap(NamedTuple, Generic[NumberT]):
    """One number each, or one for each replicate; density may exceed 1."""

    precision: NumberT
    recall: NumberT
    density: NumberT
    coverage: NumberT


@dataclass(frozen=True)
class Balls:
    """Who is in whose ball, [generated, real]."""

    in_real: Membership
    """The generated image is in the ball of PRECISION_NEIGHBOURS around the real one."""

    in_wide_real: Membership
    """In that of COVERAGE_NEIGHBOURS."""

    in_generated: Membership
    """The real image is in the ball of PRECISION_NEIGHBOURS around the generated one."""


def precision_recall_density_coverage(
    generated: Float[Tensor, "n features"], real: Float[Tensor, "m features"]
) -> Overlap[float]:
    """How far generated and real images overlap, from their features; see the head of this file.

    Args:
        generated: 6 images or more, on the CPU.
        real: likewise.

    Returns:
        `precision`, `recall` and `coverage`, 0 to 1, and `density`, 0 or more.

    Raises:
        UserError: fewer images.
        ValueError: features of different length.

    Example:
        >>> import torch
        >>> from convergan import precision_recall_density_coverage
        >>> real = torch.randn(50, 8)
        >>> precision_recall_density_coverage(real, real).precision
        1.0
    """
    for name, features in (("generated", generated), ("real", real)):
        if len(features) <= COVERAGE_NEIGHBOURS:
            raise UserError(
                f"{name}: expected at least {COVERAGE_NEIGHBOURS + 1} images, got {len(features)}"
            )
    return Overlap(*(float(numbers[0]) for numbers in overlap(find_balls(generated, real))))


def find_balls(
    generated: Float[Tensor, "n features"],
    real: Float[Tensor, "m features"],
    progress: Progress | None = None,
) -> Balls:
    """Compares all pairs, some hundred images of a set at a time with all of the other.

    Args:
        generated: more of them than COVERAGE_NEIGHBOURS.
        real: likewise.
        progress: called with the number of comparisons of an image with a set, done and of all.

    Raises:
        ValueError: no more images in either set than COVERAGE_NEIGHBOURS, or features of another length.
    """
    if generated.shape[1] != real.shape[1]:
        raise ValueError(
            f"expected as many features, got {generated.shape[1]} and {real.shape[1]} of them"
        )
    steps = Steps(progress, len(real) + 2 * len(generated))
    radii, _ = nearest(real, real, COVERAGE_NEIGHBOURS, same=True, steps=steps)
    radius, wide_radius = radii[:, PRECISION_NEIGHBOURS - 1], radii[:, COVERAGE_NEIGHBOURS - 1]
    own_radii, _ = nearest(generated, generated, PRECISION_NEIGHBOURS, same=True, steps=steps)
    balls = Balls(*(Membership(len(real)) for _ in range(3)))
    for first, distances in distance_chunks(generated, real, steps):
        own_radius = own_radii[first : first + len(distances), -1:]
        inside = distances <= radius
        balls.in_real.append(inside)
        balls.in_wide_real.append(torch.le(distances, wide_radius, out=inside))
        balls.in_generated.append(torch.le(distances, own_radius, out=inside))
    return balls


def overlap(
    balls: Balls,
    generated_weights: Integer[np.ndarray, "replicates n"] | None = None,
    real_weights: Integer[np.ndarray, "replicates m"] | None = None,
    progress: Progress | None = None,
) -> Overlap[np.ndarray]:
    """All four; see the head of this file.

    Args:
        balls: of `find_balls`.
        generated_weights: how often each generated image counts in every replicate; None: once, in one.
            The balls stay as large as they are, but those of images that do not count are left out.
        real_weights: like `generated_weights`; a replicate has as many images as there are.
        progress: called with the number of replicates done and of all.
    """
    if generated_weights is None:
        generated_weights = np.ones((1, balls.in_real.rows), dtype=np.uint8)
    if real_weights is None:
        real_weights = np.ones((len(generated_weights), balls.in_real.columns), dtype=np.uint8)
    steps = Steps(progress, len(generated_weights))
    parts = []
    for first in range(0, len(generated_weights), _REPLICATES):
        some = slice(first, first + _REPLICATES)
        parts.append(_overlap(balls, generated_weights[some], real_weights[some]))
        steps.take(len(generated_weights[some]))
    return Overlap(*(np.concatenate(values) for values in zip(*parts, strict=True)))


@dataclass(frozen=True, kw_only=True)
class OverlapMetric(Metric):
    """Precision, recall, density and coverage with their intervals."""

    replicates: int = 1000
    possible: ClassVar[Mapping[str, Interval]] = {
        "precision": Interval(0, 1),
        "recall": Interval(0, 1),
        "density": Interval(0, math.inf),
        "coverage": Interval(0, 1),
    }

    def measure(
        self, images: Embedded, reference: Reference, progress: Progress | None = None
    ) -> Measured:
        real = images_of(reference, "precision and recall")
        require_images("precision and recall", COVERAGE_NEIGHBOURS + 1, images, real)
        balls = find_balls(images.features, real.features, progress)
        return Measured(lambda *weights: overlap(balls, *weights)._asdict())


def _overlap(
    balls: Balls, generated_weights: np.ndarray, real_weights: np.ndarray
) -> Overlap[np.ndarray]:
    # Whole numbers below 2^24 are exact in 32 bits.
    generated, real = (
        np.ascontiguousarray(weights.T, dtype=np.float32)
        for weights in (generated_weights, real_weights)
    )
    # A matrix of whether, not of how often: presence in the other set is enough.
    there, there_real = (np.minimum(weights, 1) for weights in (generated, real))
    generated_total, real_total = _sum(generated), _sum(real)
    is_in_real = balls.in_real.times(there_real) > 0
    is_in_generated = balls.in_generated.transposed_times(there) > 0
    holds_generated = balls.in_wide_real.transposed_times(there) > 0
    number_of_balls = balls.in_wide_real.times(real)
    return Overlap(
        precision=_sum(generated * is_in_real) / generated_total,
        recall=_sum(real * is_in_generated) / real_total,
        density=_sum(generated * number_of_balls) / (COVERAGE_NEIGHBOURS * generated_total),
        coverage=_sum(real * holds_generated) / real_total,
    )


def _sum(of_images: np.ndarray) -> np.ndarray:
    total: np.ndarray = of_images.sum(axis=0, dtype=np.float64)
    return total
