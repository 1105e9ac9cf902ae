"""Terms of second order of squared distances: their whole variance if both sets are of one kind.

The squared distance between the means of n images and of m images of the same kind, in some space, is a sum
of squares w z^2 of independent normal z, where the weights w are the eigenvalues of

    C = C1 / n + C2 / m

with the covariances C1 and C2 of the images in that space. Its variance is 2 tr C^2, its third cumulant
8 tr C^3. Only the kernel k(x, y) of that space is needed, and only for a subset of the images.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convergan.statistics.squared_distances import DifferenceSpread, DistanceSpread

SUBSET = 150
"""Number of images of either kind from which the terms are estimated."""


@dataclass(frozen=True)
class SecondOrder:
    """tr C, tr C^2 in parts, and tr C^3."""

    first_square: float
    """tr C1^2 / n^2."""
    second_square: float
    """tr C2^2 / m^2; 0 if the second distribution is not given by images."""
    cross_square: float
    """tr C1 C2 / (n m)."""
    trace: float
    """tr C: the mean of the distance that includes pairs of an image with itself."""
    cube: float
    """tr C^3."""

    @property
    def variance(self) -> float:
        """2 tr C^2."""
        return 2 * (self.first_square + self.second_square + 2 * self.cross_square)

    @property
    def third(self) -> float:
        """8 tr C^3; 0 or more."""
        return 8 * max(self.cube, 0.0)

    @property
    def concentration(self) -> float:
        """Concentration of the weights, (tr C^3)^(2/3) / tr C^2.

        It is 1 for a single weight, and near 0 for many equal ones. It is at least (tr C^4)^(1/2) / tr C^2,
        the relative variation of the terms themselves.
        """
        squares = self.variance / 2
        return min(1.0, max(self.cube, 0.0) ** (2 / 3) / squares) if squares > 0 else 0.0


def subset(features: Float[Tensor, "images features"]) -> Float[Tensor, "some features"]:
    """Evenly spaced images, `SUBSET` of them or all; float64."""
    return features[evenly_spaced(len(features), SUBSET)].double()


def evenly_spaced(count: int, limit: int) -> Int[Tensor, "some"]:
    """Evenly spaced indices from 0 to `count` - 1, at most `limit` of them."""
    return torch.linspace(0, count - 1, min(limit, count)).round().long()


def second_order(
    kernel: Float[Tensor, "some some"], first: int, counts: tuple[int, int | None]
) -> SecondOrder:
    """Estimate the terms from the kernel of a subset of the images.

    Pairs of an image with itself are left out: their squares would dominate a sum over few images.

    Args:
        kernel: kernel of all pairs, not centred; images of the first kind come before those of the second.
        first: number of images of the first kind in the kernel.
        counts: numbers of images of both kinds behind the distance, n and m; None: no images.
    """
    sizes = [first, len(kernel) - first]
    parts = [slice(0, first), slice(first, len(kernel))]
    centred, scale = kernel.clone(), torch.zeros(len(kernel), dtype=kernel.dtype)
    for part, size, count in zip(parts, sizes, counts, strict=True):
        if count is None or size < 3:
            continue
        centred[part] -= centred[part].mean(dim=0, keepdim=True)
        centred[:, part] -= centred[:, part].mean(dim=1, keepdim=True)
        scale[part] = (count * size) ** -0.5
    centred *= scale.unsqueeze(1) * scale
    trace = float(centred.trace())
    centred.fill_diagonal_(0)
    squares = centred.square()
    first_square, second_square = (
        float(squares[part, part].sum()) * size / max(size - 1, 1)
        for part, size in zip(parts, sizes, strict=True)
    )
    return SecondOrder(
        first_square,
        second_square,
        float(squares[parts[0], parts[1]].sum()),
        trace,
        float(((centred @ centred) * centred).sum()),
    )


def difference_spread(
    plug_in: float,
    own_variance: float,
    second: float,
    squares: tuple[float, float],
    concentration: float,
    independent_variance: float = 0.0,
) -> DifferenceSpread:
    """Estimate the variation of the difference of two squared distances from one reference.

    Args:
        plug_in: variance of the difference by the derivatives at the sample.
        own_variance: the part of this variance that is due to the sets' own images, with the mean of the
            derivatives of both distances: v (C1 + C2) v, where v is the sum of both sets' means less twice
            the reference's.
        second: the terms of second order of the variance.
        squares: tr C^2 of the images of either set, divided by the square of their number.
        concentration: the concentration of the terms (`SecondOrder.concentration`).
        independent_variance: a variance that does not depend on the distances.
    """
    # tr (C1 - C2)^2, if both covariances are proportional.
    imbalance = (math.sqrt(squares[0]) - math.sqrt(squares[1])) ** 2
    by_chance = second + imbalance
    return DifferenceSpread(
        own_variance + imbalance + independent_variance,
        max(0.0, plug_in - own_variance),
        by_chance,
        math.sqrt(2) * concentration * by_chance,
    )


def distance_spread(
    distance: float, plug_in: float, at_zero: float, third: float, independent_variance: float = 0.0
) -> DistanceSpread:
    """Estimate the variation of a squared distance from its derivatives at the sample.

    The variance of first order is 4 w t, where w is the weight of the direction of the difference. The
    variance by the derivatives at the sample is this, plus twice the variance at distance 0. If both the
    distance and the first-order part are mostly chance, their ratio says nothing about w. Two standard
    deviations are therefore added to the distance, and the matching variance to the other part, for a
    direction that varies much: w = 1.25 tr C^3 / tr C^2, near the largest weight if weights fall as 1 / k.

    Args:
        distance: the estimate, less its bias.
        plug_in: variance of the estimate by the derivatives at the sample.
        at_zero: variance of the estimate if the distance is 0.
        third: third cumulant of the estimate if the distance is 0.
        independent_variance: a variance that does not depend on the distance.
    """
    growth, positive = plug_in - 2 * at_zero, max(0.0, distance)
    if at_zero > 0:
        chance = 2 * math.sqrt(at_zero)
        chance_growth = 1.25 * third / at_zero * chance
        slope = (max(growth, 0.0) + chance_growth) / (positive + chance)
    else:
        slope = growth / positive if positive > 0 else 0.0
    return DistanceSpread(at_zero + independent_variance, third, slope)
