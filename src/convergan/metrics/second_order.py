"""Terms of second order of squared distances: all there is to their variance where both kinds of images are
the same.

A squared distance of the means of images in some space is, of n images beside m of the same kind, a sum of
squares w z^2 of independent normal z, where the weights w are the eigenvalues of

    C = C1 / n + C2 / m

with the covariances C1 and C2 of the images in that space. Its variance is 2 tr C^2, its third cumulant
8 tr C^3. Only the kernel k(x, y) of that space is needed, and of some images only.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convergan.statistics.squared_distances import DifferenceSpread, DistanceSpread

SUBSET = 150
"""Images of either kind that tell the terms."""


@dataclass(frozen=True)
class SecondOrder:
    """tr C, tr C^2 in parts, and tr C^3."""

    first_square: float
    """tr C1^2 / n^2."""
    second_square: float
    """tr C2^2 / m^2; 0 where the second is not images."""
    cross_square: float
    """tr C1 C2 / (n m)."""
    trace: float
    """tr C: what the distance with the pairs of an image with itself is on average."""
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
        """(tr C^3)^(2/3) / tr C^2, 1 where there is one weight alone, near 0 where there are many like ones:
        it is at least (tr C^4)^(1/2) / tr C^2, what the terms vary by themselves."""
        squares = self.variance / 2
        return min(1.0, max(self.cube, 0.0) ** (2 / 3) / squares) if squares > 0 else 0.0


def subset(features: Float[Tensor, "images features"]) -> Float[Tensor, "some features"]:
    """Images from all over their order, `SUBSET` of them or all; float64."""
    return features[places(len(features), SUBSET)].double()


def places(count: int, most: int) -> Int[Tensor, "some"]:
    """At most so many places from all over 0 to `count` - 1."""
    return torch.linspace(0, count - 1, min(most, count)).round().long()


def second_order(
    kernel: Float[Tensor, "some some"], first: int, counts: tuple[int, int | None]
) -> SecondOrder:
    """The terms, from the kernel of some images of the first kind and then of the second with each other.

    Pairs of an image with itself are left out: their squares would be most of a sum over few images.

    Args:
        kernel: of all pairs, not centred.
        first: how many of them are of the first kind; the others are of the second.
        counts: images of both kinds that the distance is of, n and m; None: no images.
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
    along: float,
    second: float,
    squares: tuple[float, float],
    concentration: float,
    besides: float = 0.0,
) -> DifferenceSpread:
    """Variation of the difference of two squared distances from one reference, by derivatives at the sample.

    Args:
        plug_in: its variance by them.
        along: the part of it by the sets' own images, as if either distance had the mean of both derivatives:
            v (C1 + C2) v, where v is the mean of both sets less the reference, twice.
        second: the terms of second order of its variance.
        squares: tr C^2 of the images of either set, by their number squared.
        concentration: of the terms (`SecondOrder.concentration`).
        besides: a variance that has nothing to do with the distances.
    """
    # tr (C1 - C2)^2, where both are in proportion.
    unlike = (math.sqrt(squares[0]) - math.sqrt(squares[1])) ** 2
    by_chance = second + unlike
    return DifferenceSpread(
        along + unlike + besides,
        max(0.0, plug_in - along),
        by_chance,
        math.sqrt(2) * concentration * by_chance,
    )


def distance_spread(
    distance: float, plug_in: float, at_zero: float, third: float, besides: float = 0.0
) -> DistanceSpread:
    """Variation of a squared distance, from its derivatives at the sample.

    Of first order the variance is 4 w t, with the weight w of what is moved, and the sample's own derivatives
    have it and twice what is there at 0. Where most of both is chance their ratio says nothing of w: as two
    standard deviations more would be, it is then for something that varies much, w = 1.5 tr C^3 / tr C^2,
    about the largest weight where weights fall as 1 / k.

    Args:
        distance: the estimate, less its bias.
        plug_in: its variance by the derivatives at the sample.
        at_zero: the variance were the distance 0.
        third: the third cumulant then.
        besides: a variance that has nothing to do with the distance.
    """
    growth, positive = plug_in - 2 * at_zero, max(0.0, distance)
    if at_zero > 0:
        chance = 2 * math.sqrt(at_zero)
        chance_growth = 1.5 * third / at_zero * chance
        slope = (max(growth, -chance_growth / 2) + chance_growth) / (positive + chance)
    else:
        slope = growth / positive if positive > 0 else 0.0
    return DistanceSpread(at_zero + besides, third, slope)
