"""The kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401): squared maximum mean discrepancy.

    KID = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)
    k(a, b) = (a . b / d + 1)^3

It is unbiased: few images make it noisy, but not too high. Papers average it over 100 random subsets of 1,000
images. Over all pairs of all images it has the same expectation, less noise and no seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import sum_over_ranks
from convergan.errors import UserError
from convergan.metrics.metric import (
    NOT_ASKED_FOR,
    Embedded,
    Measured,
    Spread,
    fewest_images,
    require_images,
)
from convergan.metrics.pairs import BLOCK, REFERENCE, PairMetric, PairWork, walk_pairs
from convergan.metrics.requirements import require_features
from convergan.metrics.second_order import (
    SecondOrder,
    difference_spread,
    distance_spread,
    evenly_spaced,
    second_order,
    subset,
)
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.squared_distances import interval_of_squared_distance

SUBSETS = 100
SUBSET_SIZE = 1000

METHOD = "closed form of the variance of a U-statistic, at each possible distance"

FEWEST_FOR_INTERVAL = 100

_OWN_SUBSET = 1000
"""Number of images of either set from which the variance by the sets' own images is estimated."""


class SubsetDistance(NamedTuple):
    """Mean and standard deviation of KID over subsets."""

    mean: Tensor
    stdev: Tensor
    """Standard deviation of the population of subsets; 0 for a single one."""


def kernel_distance(
    first: Float[Tensor, "n features"],
    second: Float[Tensor, "m features"],
    progress: Progress | None = None,
) -> Float[Tensor, ""]:
    """Compute KID over all pairs of images, in float64, in blocks.

    Args:
        first: features of at least 2 images, floats.
        second: features of at least 2 images, floats.
        progress: called with the number of blocks of the kernel's matrix that are done, and the total.

    Raises:
        UserError: fewer than two images, another shape, different numbers of features, or a value that is not
            finite.
    """
    require_features(first=first, second=second)
    return _distance_of_all_pairs(first, second, progress)


def _distance_of_all_pairs(
    first: Tensor, second: Tensor, progress: Progress | None = None
) -> Tensor:
    if min(len(first), len(second)) < 2:
        raise UserError(f"KID: expected at least 2 images, got {len(first)} and {len(second)}")
    images, reference = (Embedded(features.cpu(), features[:, :0]) for features in (first, second))
    work = KernelWork(KernelMetric(), [images], reference)
    walk_pairs([work], [images.features], reference.features, progress)
    return torch.tensor(work.distance(0), dtype=torch.float64)


def kernel_distance_of_subsets(
    first: Float[Tensor, "n features"],
    second: Float[Tensor, "m features"],
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
    progress: Progress | None = None,
) -> SubsetDistance:
    """Compute KID as papers report it: over random subsets, drawn without replacement.

    Args:
        first: features of at least `subset_size` images.
        second: features of at least `subset_size` images.
        subsets: number of subsets.
        subset_size: number of images of either kind in each subset.
        seed: seed of the draws.
        progress: called with the number of subsets done and the total.

    Raises:
        UserError: another shape, different numbers of features, or a value that is not finite.
        ValueError: there are fewer images than a subset has.
    """
    require_features(first=first, second=second)
    if min(len(first), len(second)) < subset_size:
        raise ValueError(
            f"subset_size: expected at most {min(len(first), len(second))}, the number of images, got "
            f"{subset_size}"
        )
    generator = torch.Generator().manual_seed(seed)

    def draw_subset(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:subset_size]]

    steps = Steps(progress, subsets)
    distances = []
    for _ in range(subsets):
        distances.append(_distance_of_all_pairs(draw_subset(first), draw_subset(second)))
        steps.take()
    values = torch.stack(distances)
    return SubsetDistance(values.mean(), values.std(correction=0))


@dataclass(frozen=True, kw_only=True)
class KernelMetric(PairMetric):
    """KID with its interval."""

    title: ClassVar[str] = "KID"
    subsets: int = 0
    """Number of subsets; 0: all pairs of all images."""
    subset_size: int = SUBSET_SIZE
    subset_seed: int = 0

    def work(self, sets: Sequence[Embedded], reference: Embedded, seed: int) -> "KernelWork":
        require_images("KID", 2, sets, reference)
        if self.subsets:
            fewest = fewest_images(sets, reference)
            if fewest < self.subset_size:
                raise UserError(
                    f"kid-subset-size: expected at most {fewest}, the number of images, got"
                    f" {self.subset_size}"
                )
        return KernelWork(self, sets, reference)


class KernelWork(PairWork):
    """Sums of the kernel, which give the distances and their covariance.

    Let a_i be the mean over x_j of k(x_i, x_j) less that over y_j of k(x_i, y_j), b_j the same with x and y
    swapped, and t_xx the mean square of the kernel less its means by row and by column. KID has the variance

        4 var(a) / n + 4 var(b) / m - 2 t_xx / n^2 - 2 t_yy / m^2 - 4 t_xy / (n m)

    The first two terms contain the last three twice, since each a_i is a mean of finitely many values. Only
    the last three remain if both kinds of images are the same; the rest grows with the distance
    (`DistanceSpread`).

    Sources: Bounliphone et al., A test of relative similarity (2016), arXiv 1511.04581; Sutherland, Unbiased
    estimators for the variance of MMD estimators (2019), arXiv 1906.02104.
    """

    def __init__(self, metric: KernelMetric, sets: Sequence[Embedded], reference: Embedded) -> None:
        self.metric, self.sets, self.reference = metric, sets, reference
        self.sums: dict[tuple[int, int], _KernelSums] = {}

    def take(self, pair: tuple[int, int], rows: slice, columns: slice, products: Tensor) -> None:
        first, second = (self._images(number) for number in pair)
        if pair not in self.sums:
            self.sums[pair] = _KernelSums(len(first), len(second))
        kernel = _kernel(products, first.features.shape[1])
        same_set = pair[0] == pair[1]
        if same_set and rows == columns:
            # Pairs of an image with itself do not count.
            kernel.fill_diagonal_(0)
        self.sums[pair].add(rows, columns, kernel, twice=same_set and rows != columns)

    def join(self, pair: tuple[int, int]) -> None:
        first, second = (self._images(number) for number in pair)
        # This process may have had no block.
        self.sums.setdefault(pair, _KernelSums(len(first), len(second))).join()

    def measured(self) -> list[Measured]:
        values = [float(self.distance(number)) for number in range(len(self.sets))]
        stdevs: list[float | None] = [None] * len(values)
        draw_variances = np.zeros(len(values))
        metric = self.metric
        if metric.subsets:
            for number, images in enumerate(self.sets):
                subset_distance = kernel_distance_of_subsets(
                    images.features,
                    self.reference.features,
                    subsets=metric.subsets,
                    subset_size=metric.subset_size,
                    seed=metric.subset_seed,
                )
                values[number], stdevs[number] = (
                    float(subset_distance.mean),
                    float(subset_distance.stdev),
                )
                draw_variances[number] = float(subset_distance.stdev) ** 2 / metric.subsets
        spread, method = None, METHOD
        fewest = fewest_images(self.sets, self.reference)
        if not metric.intervals:
            method = NOT_ASKED_FOR
        elif fewest < FEWEST_FOR_INTERVAL:
            method = f"no valid method is known for fewer than {FEWEST_FOR_INTERVAL} images"
        else:
            spread = self._spread(values, draw_variances)
        real = self.sums[REFERENCE, REFERENCE].total / (
            len(self.reference) * (len(self.reference) - 1)
        )
        return [Measured("KID", values, spread, method, stdevs, scale=abs(real))]

    def distance(self, number: int) -> float:
        """KID of one of the sets, over all pairs."""
        n, m = len(self.sets[number]), len(self.reference)
        own, real, cross = (self.sums[pair] for pair in _pairs(number))
        return own.total / (n * (n - 1)) + real.total / (m * (m - 1)) - 2 * cross.total / (n * m)

    def _spread(self, values: Sequence[float], draw_variances: np.ndarray) -> Spread:
        m, numbers = len(self.reference), range(len(self.sets))
        plug_in, second = np.diag(draw_variances), np.zeros((len(numbers), len(numbers)))
        real = self.sums[REFERENCE, REFERENCE]
        real_square = real.mean_square(exclude_self=True)
        real_influences = []
        for number in numbers:
            n = len(self.sets[number])
            own, _, cross = (self.sums[pair] for pair in _pairs(number))
            plug_in[number, number] += 4 / n * np.var(own.rows / (n - 1) - cross.rows / m, ddof=1)
            real_influences.append(real.rows / (m - 1) - cross.columns / n)
            second[number, number] = 2 * own.mean_square(exclude_self=True) / n**2
            second[number, number] += 4 * cross.mean_square(exclude_self=False) / (n * m)
        plug_in += 4 / m * np.atleast_2d(np.cov(real_influences))
        # The pairs of the reference are common to all sets.
        second += 2 * real_square / m**2
        intervals, contrast = [], np.array([1, -1])
        for number in numbers:
            value = self.distance(number)
            spread = distance_spread(
                value,
                plug_in[number, number] - draw_variances[number],
                second[number, number],
                self._terms(number).third,
                draw_variances[number],
            )
            intervals.append(interval_of_squared_distance(values[number], spread))
        difference = None
        if len(numbers) == 2:
            squares = [
                self.sums[number, number].mean_square(exclude_self=True)
                / len(self.sets[number]) ** 2
                for number in numbers
            ]
            difference = difference_spread(
                float(contrast @ (plug_in - np.diag(draw_variances)) @ contrast),
                self._own_variance(),
                float(contrast @ second @ contrast),
                (squares[0], squares[1]),
                self._terms(0).concentration,
                float(draw_variances.sum()),
            )
        return Spread(plug_in, second, intervals=tuple(intervals), difference=difference)

    def _own_variance(self) -> float:
        """Variance of the difference of two sets due to their own images; see `difference_spread`."""
        m, variance = len(self.reference), 0.0
        for number, opposite in ((0, 1), (1, 0)):
            images, opposite_images = self.sets[number], self.sets[opposite]
            own, _, cross = (self.sums[pair] for pair in _pairs(number))
            indices = evenly_spaced(len(images), _OWN_SUBSET)
            rows = images.features[indices].double()
            opposite_influence = torch.zeros(len(rows), dtype=torch.float64)
            for part in opposite_images.features.split(BLOCK):
                opposite_influence += _kernel(rows @ part.double().T, rows.shape[1]).sum(dim=1)
            own_influence = own.rows[indices] / (len(images) - 1) - 2 * cross.rows[indices] / m
            variance += float(
                np.var(own_influence + opposite_influence.numpy() / len(opposite_images), ddof=1)
            ) / len(images)
        return variance

    def _terms(self, number: int) -> SecondOrder:
        """Terms of second order of one of the sets, estimated from a subset of the images."""
        sets = (self.sets[number], self.reference)
        subsets = [subset(images.features) for images in sets]
        features = torch.cat(subsets)
        kernel = _kernel(features @ features.T, features.shape[1])
        return second_order(kernel, len(subsets[0]), (len(sets[0]), len(sets[1])))

    def _images(self, number: int) -> Embedded:
        return self.reference if number == REFERENCE else self.sets[number]


class _KernelSums:
    """Sums of a matrix of kernels by row and by column, and of its squares; float64."""

    def __init__(self, n: int, m: int) -> None:
        self.rows, self.columns, self.squares = np.zeros(n), np.zeros(m), 0.0

    @property
    def total(self) -> float:
        return float(self.rows.sum())

    def add(self, rows: slice, columns: slice, kernel: Tensor, *, twice: bool) -> None:
        """Add a block; `twice`: also its mirror image below the diagonal."""
        row_sums, column_sums = (kernel.sum(dim=axis).double().numpy() for axis in (1, 0))
        self.rows[rows] += row_sums
        self.columns[columns] += column_sums
        if twice:
            self.rows[columns] += column_sums
            self.columns[rows] += row_sums
        flat = kernel.flatten()
        self.squares += float(flat @ flat) * (1 + twice)

    def join(self) -> None:
        """Add the sums of the other processes."""
        own = torch.from_numpy(np.concatenate([self.rows, self.columns, [self.squares]]))
        everyones = sum_over_ranks(own).numpy()
        n = len(self.rows)
        self.rows, self.columns = everyones[:n], everyones[n:-1]
        self.squares = float(everyones[-1])

    def mean_square(self, *, exclude_self: bool) -> float:
        """Mean square of the kernel less its means by row and by column.

        Args:
            exclude_self: rows and columns are the same images; pairs of an image with itself do not count.
        """
        n, m = len(self.rows), len(self.columns)
        terms_per_row, terms_per_column = m - exclude_self, n - exclude_self
        total = self.total / (n * terms_per_row)
        row_deviations, column_deviations = (
            self.rows / terms_per_row - total,
            self.columns / terms_per_column - total,
        )
        square = (
            self.squares / (n * terms_per_row)
            - total**2
            - np.mean(row_deviations**2)
            - np.mean(column_deviations**2)
        )
        return max(0.0, float(square))


def _kernel(products: Tensor, features: int) -> Tensor:
    shifted = (products / features).add_(1)
    return shifted.square().mul_(shifted)


def _pairs(number: int) -> tuple[tuple[int, int], ...]:
    return (number, number), (REFERENCE, REFERENCE), (number, REFERENCE)
