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
from jaxtyping import Float
from torch import Tensor

from convergan.statistics.squared_distances import DistanceSpread

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


def subset(features: Float[Tensor, "images features"]) -> Float[Tensor, "some features"]:
    """Images from all over their order, `SUBSET` of them or all; float64."""
    count = min(SUBSET, len(features))
    return features[torch.linspace(0, len(features) - 1, count).round().long()].double()


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


def distance_spread(
    distance: float, plug_in: float, at_zero: float, third: float, besides: float = 0.0
) -> DistanceSpread:
    """Variation of a squared distance, from its derivatives at the sample.

    Of first order the variance is 4 w t, with the weight w of what is moved, and the sample's own derivatives
    have it and twice what is there at 0. Where most of both is chance their ratio says nothing of w: as two
    standard deviations more would be, it is then for something that varies much, w = tr C^3 / tr C^2.

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
        chance_growth = third / at_zero * chance
        slope = (max(growth, -chance_growth / 2) + chance_growth) / (positive + chance)
    else:
        slope = growth / positive if positive > 0 else 0.0
    return DistanceSpread(at_zero + besides, third, slope)
