"""Precision, recall, density and coverage: the overlap of generated and real images.

The manifold of a set of images is the union of balls around their features. The radius of a ball is the
distance to the k-th nearest other image of the set.

* Precision: the share of generated images that lie in a real ball. Recall: the share of real images that lie
  in a generated ball (Kynkäänniemi et al. 2019, arXiv 1904.06991; k = 3).
* Density: the mean number of real balls that contain a generated image, divided by k. Coverage: the share of
  real balls that contain a generated image (Naeem et al. 2020, arXiv 2002.09797; k = 5).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import rank, ranks, sum_over_ranks
from convergan.errors import UserError
from convergan.metrics.metric import (
    NOT_ASKED_FOR,
    Embedded,
    Measured,
    Spread,
    require_images,
)
from convergan.metrics.neighbours import KeptNeighbours, Nearest, squared_distances
from convergan.metrics.pairs import (
    BLOCK,
    REFERENCE,
    PairMetric,
    PairWork,
    is_shared,
    walk_pairs,
)
from convergan.metrics.requirements import require_features
from convergan.statistics.intervals import Interval

PRECISION_NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5

METHOD = "random groups; for shares Wilson's interval with the effective number of images"

FEWEST_FOR_INTERVAL = 200

_GROUP = 2000
"""Images in each of the groups that intervals come from; fewer if there are less than two such groups."""

_DEGREES_OF_FREEDOM = 20
_DEGREES_OF_FREEDOM_CACHED = 60
_DEGREES_OF_FREEDOM_OF_IMAGES = 40
"""Degrees of freedom of a variance from all possible groups of the same images: in simulations with 600
images such variances were off by a fifth."""

_MOST_CACHED_PAIRS = 1e8
"""Number of pairs up to which their distances are kept in memory, 400 MB."""


class Overlap(NamedTuple):
    """Overlap of two sets of images: precision, recall and coverage from 0 to 1, density 0 or more."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(
    generated: Float[Tensor, "n features"], real: Float[Tensor, "m features"]
) -> Overlap:
    """Compute the overlap of generated and real images from their features.

    The manifold of a set of images is the union of balls around their features, each reaching to the k-th
    nearest other image. Precision is the share of generated images in a real ball, recall the share of real
    images in a generated ball (k = 3); density is the mean number of real balls around a generated image,
    divided by k, and coverage the share of real balls with a generated image in them (k = 5).

    Args:
        generated: features of at least 6 generated images, floats, on the CPU.
        real: features of at least 6 real images, floats, on the CPU.

    Returns:
        `precision`, `recall` and `coverage`, 0 to 1, and `density`, 0 or more.

    Raises:
        UserError: fewer images, another shape, different numbers of features, or a value that is not finite.

    Example:
        >>> import torch
        >>> from convergan import precision_recall_density_coverage
        >>> real = torch.randn(50, 8)
        >>> precision_recall_density_coverage(real, real).precision
        1.0
    """
    require_features(generated=generated, real=real)
    for name, features in (("generated", generated), ("real", real)):
        if len(features) <= COVERAGE_NEIGHBOURS:
            raise UserError(
                f"{name}: expected at least {COVERAGE_NEIGHBOURS + 1} images, got {len(features)}"
            )
    work = OverlapWork([generated], real)
    walk_pairs([work], [generated], real)
    return work.members[0].overlap()


@dataclass(frozen=True, kw_only=True)
class OverlapMetric(PairMetric):
    """Precision, recall, density and coverage with their intervals.

    Their variances come from random groups: images and reference are split into g groups, each is measured
    separately, and the variance among groups divided by g is that of the whole (Wolter, Introduction to
    Variance Estimation, 2007, chapter 2). A bootstrap fails: an image drawn twice is its own neighbour.
    """

    title: ClassVar[str] = "precision and recall"
    possible: ClassVar[Mapping[str, Interval]] = {
        "precision": Interval(0, 1),
        "recall": Interval(0, 1),
        "density": Interval(0, math.inf),
        "coverage": Interval(0, 1),
    }

    def work(self, sets: Sequence[Embedded], reference: Embedded, seed: int) -> "OverlapWork":
        require_images("precision and recall", COVERAGE_NEIGHBOURS + 1, sets, reference)
        return OverlapWork(
            [images.features for images in sets],
            reference.features,
            seed=seed,
            intervals=self.intervals,
        )


class OverlapWork(PairWork):
    """Nearest neighbours and members of their balls, from blocks of products.

    Args:
        sets: features of each set of generated images.
        real: features of the real images.
        seed: seed of the random groups.
        intervals: True to compute the variances of the numbers.
    """

    def __init__(
        self, sets: Sequence[Tensor], real: Tensor, *, seed: int = 0, intervals: bool = False
    ) -> None:
        self.sets, self.real, self.seed, self.intervals = sets, real, seed, intervals
        self.squares = {number: _squares(features) for number, features in enumerate(sets)}
        self.squares[REFERENCE] = _squares(real)
        self.nearest = {
            number: Nearest(len(squares), COVERAGE_NEIGHBOURS)
            for number, squares in self.squares.items()
        }
        self.members = [_Members(len(features), len(real)) for features in sets]

    def take(self, pair: tuple[int, int], rows: slice, columns: slice, products: Tensor) -> None:
        distances = squared_distances(
            products, self.squares[pair[0]][rows], self.squares[pair[1]][columns]
        )
        if pair[0] == pair[1]:
            nearest = self.nearest[pair[0]]
            if rows == columns:
                distances.fill_diagonal_(torch.inf)
            else:
                nearest.add(columns, distances.T)
            nearest.add(rows, distances)
            return
        real, own = self.nearest[REFERENCE].squares, self.nearest[pair[0]].squares
        self.members[pair[0]].add(
            rows,
            columns,
            distances <= real[columns, PRECISION_NEIGHBOURS - 1],
            distances <= real[columns, COVERAGE_NEIGHBOURS - 1],
            distances <= own[rows, PRECISION_NEIGHBOURS - 1].unsqueeze(1),
        )

    def join(self, pair: tuple[int, int]) -> None:
        if pair[0] == pair[1]:
            self.nearest[pair[0]].join()
        else:
            self.members[pair[0]].join()

    def measured(self) -> list[Measured]:
        overlaps = [members.overlap() for members in self.members]
        spread, method = None, METHOD
        fewest = min(map(len, (*self.sets, self.real)))
        if not self.intervals:
            method = NOT_ASKED_FOR
        elif fewest < FEWEST_FOR_INTERVAL:
            method = f"no valid method is known for fewer than {FEWEST_FOR_INTERVAL} images"
        else:
            spread = self._spreads()
        return [
            Measured(
                name,
                [float(getattr(overlap, name)) for overlap in overlaps],
                None if spread is None else spread[number],
                method,
                share_of=None if name == "density" else self._share_of(name),
            )
            for number, name in enumerate(Overlap._fields)
        ]

    def _share_of(self, name: str) -> int:
        return min(map(len, self.sets)) if name == "precision" else len(self.real)

    def _spreads(self) -> list[Spread]:
        """Spreads of the four numbers."""
        rng = np.random.default_rng(self.seed)
        fewest = min(map(len, (*self.sets, self.real)))
        groups = max(2, fewest // _GROUP)
        cache = _DistanceCache.if_it_fits(self.sets, self.real)
        freedom = _DEGREES_OF_FREEDOM if cache is None else _DEGREES_OF_FREEDOM_CACHED
        times = math.ceil(freedom / (groups - 1))
        covariances = []
        shared = is_shared()
        for _ in range(times):
            split = [_split(len(features), groups, rng) for features in (*self.sets, self.real)]
            values = np.zeros((groups, len(self.sets), len(Overlap._fields)))
            for group, (*rows, columns) in enumerate(zip(*split, strict=True)):
                if shared and group % ranks() != rank():
                    continue
                if cache is not None:
                    values[group] = cache.overlaps(rows, columns)
                    continue
                sets = [
                    features[indices] for features, indices in zip(self.sets, rows, strict=True)
                ]
                work = OverlapWork(sets, self.real[columns])
                walk_pairs([work], sets, work.real)
                values[group] = [members.overlap() for members in work.members]
            if shared:
                values = sum_over_ranks(torch.from_numpy(values)).numpy()
            centred = values - values.mean(axis=0)
            covariances.append(
                np.einsum("gsn,gtn->nst", centred, centred) / ((groups - 1) * groups)
            )
        no_second_order = np.zeros((len(self.sets), len(self.sets)))
        degrees_of_freedom = 1 / (1 / (times * (groups - 1)) + 1 / _DEGREES_OF_FREEDOM_OF_IMAGES)
        return [
            Spread(covariance, no_second_order, degrees_of_freedom)
            for covariance in np.mean(covariances, axis=0)
        ]


class _DistanceCache:
    """Distances of all pairs of images, shared by all small groups."""

    def __init__(self, sets: Sequence[Tensor], real: Tensor) -> None:
        self.real = KeptNeighbours(_distances(real, real, exclude_self=True))
        self.sets = [
            KeptNeighbours(_distances(features, features, exclude_self=True)) for features in sets
        ]
        self.cross_distances = [_distances(features, real) for features in sets]

    @classmethod
    def if_it_fits(cls, sets: Sequence[Tensor], real: Tensor) -> "_DistanceCache | None":
        """Compute the distances; None if there are too many pairs to keep in memory."""
        counts = [len(real), *map(len, sets)]
        pairs = sum(count**2 for count in counts) + sum(
            len(real) * len(features) for features in sets
        )
        return cls(sets, real) if pairs <= _MOST_CACHED_PAIRS else None

    def overlaps(self, rows: Sequence[Tensor], columns: Tensor) -> list[Overlap]:
        """Overlaps of some images of each set with some real images, by their indices."""
        real = self.real.distances_within(columns, COVERAGE_NEIGHBOURS)
        overlaps = []
        for neighbours, cross, indices in zip(self.sets, self.cross_distances, rows, strict=True):
            own = neighbours.distances_within(indices, PRECISION_NEIGHBOURS)[:, -1:]
            distances = cross[indices.unsqueeze(1), columns]
            members = _Members(len(indices), len(columns))
            members.add(
                slice(None),
                slice(None),
                distances <= real[:, PRECISION_NEIGHBOURS - 1],
                distances <= real[:, -1],
                distances <= own,
            )
            overlaps.append(members.overlap())
        return overlaps


def _distances(first: Tensor, second: Tensor, *, exclude_self: bool = False) -> Tensor:
    """Squared distances [first, second], float32; with `exclude_self` infinity from an image to itself."""
    result = torch.empty(len(first), len(second))
    columns, squares = second.double(), _squares(second)
    for start in range(0, len(first), BLOCK):
        rows = first[start : start + BLOCK].double()
        row_distances = squared_distances(rows @ columns.T, rows.square().sum(dim=1), squares)
        result[start : start + BLOCK] = row_distances
    return result.fill_diagonal_(torch.inf) if exclude_self else result


class _Members:
    """Membership of images in balls: everything that the four numbers need from the pairs."""

    def __init__(self, generated: int, real: int) -> None:
        self.in_real = torch.zeros(generated, dtype=torch.bool)
        self.balls = torch.zeros(generated, dtype=torch.int64)
        self.in_generated = torch.zeros(real, dtype=torch.bool)
        self.holds_generated = torch.zeros(real, dtype=torch.bool)

    def add(
        self,
        rows: slice,
        columns: slice,
        in_real: Tensor,
        in_wide_real: Tensor,
        in_generated: Tensor,
    ) -> None:
        """Add a block of booleans [generated, real].

        Args:
            rows: the generated images of the block.
            columns: the real images of the block.
            in_real: the generated image lies in the real image's ball with k = 3.
            in_wide_real: the generated image lies in the real image's ball with k = 5.
            in_generated: the real image lies in the generated image's ball with k = 3.
        """
        self.in_real[rows] |= in_real.any(dim=1)
        self.balls[rows] += in_wide_real.sum(dim=1)
        self.holds_generated[columns] |= in_wide_real.any(dim=0)
        self.in_generated[columns] |= in_generated.any(dim=0)

    def join(self) -> None:
        """Merge the results of all processes."""
        for name in ("in_real", "in_generated", "holds_generated"):
            setattr(self, name, sum_over_ranks(getattr(self, name).int()) > 0)
        self.balls = sum_over_ranks(self.balls)

    def overlap(self) -> Overlap:
        """Precision, recall, density and coverage."""
        return Overlap(
            precision=_share(self.in_real),
            recall=_share(self.in_generated),
            density=float(self.balls.sum()) / (COVERAGE_NEIGHBOURS * len(self.balls)),
            coverage=_share(self.holds_generated),
        )


def _share(flags: Tensor) -> float:
    return int(flags.sum()) / len(flags)


def _split(count: int, groups: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    return torch.from_numpy(rng.permutation(count)).tensor_split(groups)


def _squares(features: Tensor) -> Tensor:
    return torch.cat([part.double().square().sum(dim=1) for part in features.split(BLOCK)])
