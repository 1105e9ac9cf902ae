"""Precision, recall, density and coverage: how far the generated and the real images overlap.

The manifold of a set of images is the union of balls around their features, each with the distance to the
k-th nearest other image of the set as its radius.

* Precision: the share of generated images in a real ball. Recall: the share of real images in a generated
  ball (Kynkäänniemi et al. 2019, arXiv 1904.06991; k = 3).
* Density: the mean number of real balls that a generated image is in, over k. Coverage: the share of real
  balls with a generated image in them (Naeem et al. 2020, arXiv 2002.09797; k = 5).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from convergan.metrics.neighbours import distance_chunks, nearest

PRECISION_NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5


class Overlap(NamedTuple):
    """One number each, or one for each replicate; density may exceed 1."""

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True)
class Balls:
    """Who is in whose ball: sparse, as a ball holds only some images."""

    in_real: sparse.csr_array
    """bool [generated, real]: in the ball of PRECISION_NEIGHBOURS around a real image."""

    in_wide_real: sparse.csr_array
    """bool [generated, real]: in that of COVERAGE_NEIGHBOURS."""

    in_generated: sparse.csr_array
    """bool [real, generated]: in the ball of PRECISION_NEIGHBOURS around a generated image."""


def find_balls(generated: Float[Tensor, "n features"], real: Float[Tensor, "m features"]) -> Balls:
    """Compares all pairs, some thousand at a time.

    Raises:
        ValueError: no more images in either set than COVERAGE_NEIGHBOURS, or features of another length.
    """
    if generated.shape[1] != real.shape[1]:
        raise ValueError(
            f"expected as many features, got {generated.shape[1]} and {real.shape[1]} of them"
        )
    radii = nearest(real, real, COVERAGE_NEIGHBOURS, same=True)[0]
    radius, wide_radius = radii[:, PRECISION_NEIGHBOURS - 1], radii[:, COVERAGE_NEIGHBOURS - 1]
    generated_radius = nearest(generated, generated, PRECISION_NEIGHBOURS, same=True)[0][:, -1]
    in_real, in_wide_real, in_generated = [], [], []
    for first, distances in distance_chunks(generated, real):
        own_radius = generated_radius[first : first + len(distances)].unsqueeze(1)
        in_real.append(_sparse(distances <= radius))
        in_wide_real.append(_sparse(distances <= wide_radius))
        in_generated.append(_sparse(distances <= own_radius))
    return Balls(
        sparse.vstack(in_real, format="csr"),
        sparse.vstack(in_wide_real, format="csr"),
        sparse.vstack(in_generated, format="csr").T.tocsr(),
    )


def overlap(
    balls: Balls,
    generated_weights: Float[np.ndarray, "replicates n"] | None = None,
    real_weights: Float[np.ndarray, "replicates m"] | None = None,
) -> Overlap:
    """All four; see the head of this file.

    Args:
        balls: of `find_balls`.
        generated_weights: how often each generated image counts in every replicate; None: once, in one.
            The balls stay as large as they are, but those of images that do not count are left out.
        real_weights: like `generated_weights`; a replicate has as many images as there are.
    """
    n, m = balls.in_real.shape
    generated = _columns(generated_weights, n)
    real = _columns(real_weights, m)
    generated_total, real_total = generated.sum(axis=0), real.sum(axis=0)
    # A matrix of whether, not of how often: presence in the other set is enough.
    there, there_real = (generated > 0).astype(np.float64), (real > 0).astype(np.float64)
    is_in_real = balls.in_real @ there_real > 0
    is_in_generated = balls.in_generated @ there > 0
    holds_generated = balls.in_wide_real.T @ there > 0
    number_of_balls = balls.in_wide_real @ real
    return Overlap(
        precision=(generated * is_in_real).sum(axis=0) / generated_total,
        recall=(real * is_in_generated).sum(axis=0) / real_total,
        density=(generated * number_of_balls).sum(axis=0) / (COVERAGE_NEIGHBOURS * generated_total),
        coverage=(real * holds_generated).sum(axis=0) / real_total,
    )


def _columns(weights: np.ndarray | None, count: int) -> np.ndarray:
    return np.ones((count, 1)) if weights is None else weights.T.astype(np.float64)


def _sparse(inside: Tensor) -> sparse.csr_array:
    rows, columns = torch.nonzero(inside, as_tuple=True)
    ones = np.ones(len(rows))
    return sparse.csr_array((ones, (rows.numpy(), columns.numpy())), shape=tuple(inside.shape))
