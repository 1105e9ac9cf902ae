"""FID of several sets of images, FID infinity, and their intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import broadcast_object, rank, ranks, sum_over_ranks
from convergan.errors import UserError
from convergan.metrics.frechet import (
    FEWEST_PER_FEATURE_OF_INFINITY,
    distance_of_factors,
    factors_of_images,
    factors_of_statistics,
)
from convergan.metrics.metric import (
    NOT_ASKED_FOR,
    Embedded,
    GaussianStatistics,
    Measured,
    Metric,
    Reference,
    Spread,
    fewest_images,
    require_images,
)
from convergan.metrics.pairs import is_shared
from convergan.metrics.second_order import (
    SecondOrder,
    difference_spread,
    distance_spread,
    second_order,
    subset,
)
from convergan.metrics.steps import Progress, Steps
from convergan.metrics.transport import LEAST_SINGULAR, Transport
from convergan.statistics.intervals import Interval, interval_of_sum
from convergan.statistics.squared_distances import (
    DifferenceSpread,
    DistanceSpread,
    interval_of_squared_distance,
)

METHOD = (
    "delta method with terms of second order, for means and covariances at each possible distance"
)

FEWEST_FOR_INTERVAL = 1000

FEWEST_PER_FEATURE_FOR_INTERVAL = 4
"""Images per feature from which on FID has an interval."""

_CURVATURE = 0.02
_MOST_OFF = 0.3
_CURVED = "FID is not linear enough in 1 / n with n = {:,} images"

_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class FrechetMetric(Metric):
    """FID and FID infinity, the value that FID would have for infinitely many images.

    FID of n images is too high by about b / n, and that of half of them by twice as much. Hence

        FID infinity = 2 FID - (FID of one half + FID of the other) / 2

    which is the line of Chong and Forsyth (2020, arXiv 1911.07023) through two numbers of images.

    Intervals: with T the optimal transport map from one normal distribution to the other, an image x
    contributes 2 (m1 - m2) . (x - m1) + (x - m1)^T (I - T) (x - m1) to FID (the delta method: Rippl, Munk and
    Sturm 2016, Journal of Multivariate Analysis 151, 90-109). Near equality, where these contributions are
    small, terms of second order prevail (`_Gaussians._orders`); their variance counts them twice.
    """

    possible: ClassVar[Mapping[str, Interval]] = {"FID": Interval(0, math.inf)}

    def measure(
        self,
        sets: Sequence[Embedded],
        reference: Reference,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Measured]:
        if reference is None:
            raise UserError("FID: expected --reference, got none")
        require_images("FID", 2, sets, reference)
        features, fewest = sets[0].features.shape[1], fewest_images(sets, reference)
        if fewest < FEWEST_PER_FEATURE_OF_INFINITY * features:
            steps = Steps(progress, 1)
            gaussians = _Gaussians(_features(sets), reference)
            alone = [max(0.0, sum(gaussians.parts(number))) for number in range(len(sets))]
            steps.take()
            return [Measured("FID", alone, None, _too_few(self.intervals, features))]
        certain = self.intervals and fewest >= max(
            FEWEST_FOR_INTERVAL, FEWEST_PER_FEATURE_FOR_INTERVAL * features
        )
        full, half_parts = _shared(sets, reference, certain, seed, progress)
        infinity = 2 * full.values - half_parts.sum(axis=1)
        if not certain:
            method = _too_few(self.intervals, features)
            return [
                Measured("FID", list(full.values), None, method),
                Measured("FID infinity", list(infinity), None, method),
            ]
        infinity_spread: Spread | None
        spread, infinity_spread = _spreads(full, half_parts)
        method = METHOD
        if _is_curved(full, fewest):
            infinity_spread, method = None, _CURVED.format(fewest)
        return [
            Measured("FID", list(full.values), spread, METHOD, scale=full.scale),
            Measured("FID infinity", list(infinity), infinity_spread, method, scale=full.scale),
        ]


class _Orders(NamedTuple):
    """Terms of second order of the distances of the means, of the covariances, and of both together."""

    means: SecondOrder
    covariances: SecondOrder
    total: SecondOrder


class _FullSample(NamedTuple):
    """FID of all images, and the moments behind its intervals.

    FID has two parts: the distance of the means, and that of the covariances.
    """

    parts: Float[np.ndarray, "sets 2"]
    plug_in: Float[np.ndarray, "sets sets"]
    """Covariance of FID by the first derivatives."""
    part_covariances: Float[np.ndarray, "sets 2 2"]
    """Covariance of the two parts of FID of each set, by the first derivatives."""
    own_variance: float
    """Variance of the difference of two sets due to their own images; 0 if there are not two sets."""
    orders: list[_Orders]
    """Terms of second order of each set; empty if there are no intervals."""
    scale: float

    @property
    def values(self) -> np.ndarray:
        """FID of each set, [sets]."""
        return np.maximum(self.parts.sum(axis=1), 0)


def _shared(
    sets: Sequence[Embedded],
    reference: Embedded | GaussianStatistics,
    certain: bool,
    seed: int,
    progress: Progress | None,
) -> tuple[_FullSample, np.ndarray]:
    """FID of all images, and the mean parts of both halves, [sets, 2]; processes share these three tasks."""
    shared = is_shared()
    own = [task for task in range(3) if not shared or task % ranks() == rank()]
    steps = Steps(progress, len(own))
    full, half_parts = None, np.zeros((len(sets), 2))
    if 0 in own:
        full = _Gaussians(_features(sets), reference).full_sample(certain)
        steps.take()
    for task, half in enumerate(_halves(sets, reference, seed), 1):
        if task in own:
            gaussians = _Gaussians(*half)
            half_parts += np.array([gaussians.parts(number) for number in range(len(sets))]) / 2
            steps.take()
    if shared:
        full = broadcast_object(full)
        half_parts = sum_over_ranks(torch.from_numpy(half_parts)).numpy()
    assert full is not None
    return full, half_parts


def _features(sets: Sequence[Embedded]) -> list[Tensor]:
    return [images.features for images in sets]


class _Gaussians:
    """Normal distributions fitted to sets of images and to the reference, and their distances."""

    def __init__(self, sets: Sequence[Tensor], reference: Embedded | GaussianStatistics) -> None:
        self.sets, self.reference = sets, reference
        self.factors = [factors_of_images(features) for features in sets]
        self.real = (
            factors_of_images(reference.features)
            if isinstance(reference, Embedded)
            else factors_of_statistics(reference)
        )

    def parts(self, number: int) -> tuple[float, float]:
        """Parts of the distance of a set: of the means, and of the covariances."""
        first = self.factors[number]
        mean_distance = float((first.mean - self.real.mean).square().sum())
        return mean_distance, distance_of_factors(first, self.real) - mean_distance

    def full_sample(self, certain: bool) -> _FullSample:
        """Distances and moments of all sets; `certain`: with the terms of second order for intervals."""
        parts, own_influences, real_influences = [], [], []
        transports = [Transport(factors, self.real) for factors in self.factors]
        for features, factors, transport in zip(self.sets, self.factors, transports, strict=True):
            mean_distance = float((factors.mean - self.real.mean).square().sum())
            parts.append((mean_distance, transport.distance - mean_distance))
            own_influences.append(transport.influence(features, factors.mean))
            if isinstance(self.reference, Embedded):
                real_influences.append(transport.influence_of_second(self.reference.features))
        part_covariances = np.array(
            [np.cov(influence) / influence.shape[1] for influence in own_influences]
        )
        plug_in = np.diag(part_covariances.sum(axis=(1, 2)))
        if isinstance(self.reference, Embedded):
            part_covariances += [
                np.cov(influence) / len(self.reference) for influence in real_influences
            ]
            totals = [influence.sum(axis=0) for influence in real_influences]
            plug_in += np.atleast_2d(np.cov(totals)) / len(self.reference)
        own_variance = 0.0
        if certain and len(transports) == 2:
            own_variance = self._own_variance(transports, own_influences)
        orders = [self._orders(number) for number in range(len(self.sets) * certain)]
        scale = max(float(factor.rows.square().sum()) for factor in (*self.factors, self.real))
        return _FullSample(np.array(parts), plug_in, part_covariances, own_variance, orders, scale)

    def _own_variance(
        self, transports: Sequence[Transport], own_influences: Sequence[np.ndarray]
    ) -> float:
        """Variance of the difference of two sets due to their own images; see `difference_spread`."""
        variance = 0.0
        for number, (features, factors) in enumerate(zip(self.sets, self.factors, strict=True)):
            cross = transports[1 - number].influence(features, factors.mean)
            mean_influence = (own_influences[number].sum(axis=0) + cross.sum(axis=0)) / 2
            variance += float(mean_influence.var(ddof=1)) / len(features)
        return variance

    def _orders(self, number: int) -> _Orders:
        """Terms of second order of one of the sets.

        Near equality FID is the squared distance of means in the space of the kernel

            k(x, y) = x . y + 1/2 sum over i, j of x_i x_j y_i y_j / (v_i + v_j)

        where x_i are centred coordinates along the eigenvectors of the covariance, and v_i its eigenvalues.
        The two terms of the kernel give the distance of the means and that of the covariances.
        """
        first, second = self.factors[number], self.real
        covariance = (first.rows.T @ first.rows + second.rows.T @ second.rows) / 2
        values, vectors = torch.linalg.eigh(covariance)
        sums = values.clamp_min(0).unsqueeze(1) + values.clamp_min(0)
        weights = torch.where(sums > LEAST_SINGULAR * sums.max(), 0.5 / sums, 0.0)
        features = self.sets[number]
        subsets = [(subset(features) - first.mean) @ vectors]
        if isinstance(self.reference, Embedded):
            subsets.append((subset(self.reference.features) - second.mean) @ vectors)
        combined = torch.cat(subsets)
        mean_kernel, covariance_kernel = (
            combined @ combined.T,
            torch.zeros(len(combined), len(combined)).double(),
        )
        for start in range(0, len(combined), _ROWS):
            rows, columns = combined[start : start + _ROWS], combined[start:]
            products = (rows.unsqueeze(1) * columns).flatten(0, 1)
            row_block = ((products @ weights) * products).sum(dim=1).view(len(rows), len(columns))
            end = start + len(rows)
            covariance_kernel[start:end, start:] = row_block
            covariance_kernel[end:, start:end] = row_block[:, len(rows) :].T
        images = len(self.reference) if isinstance(self.reference, Embedded) else None
        return _Orders(
            *(
                second_order(kernel, len(subsets[0]), (len(features), images))
                for kernel in (mean_kernel, covariance_kernel, mean_kernel + covariance_kernel)
            )
        )


def _halves(
    sets: Sequence[Embedded], reference: Embedded | GaussianStatistics, seed: int
) -> Iterator[tuple[list[Tensor], Embedded | GaussianStatistics]]:
    """Yield both random halves of the images of every set, and of the reference if it has images."""
    rng = np.random.default_rng(seed)
    orders = [torch.from_numpy(rng.permutation(len(images))) for images in sets]
    order = (
        torch.from_numpy(rng.permutation(len(reference)))
        if isinstance(reference, Embedded)
        else None
    )
    for number in range(2):
        halves = [
            images.features[order_of_set.tensor_split(2)[number]]
            for images, order_of_set in zip(sets, orders, strict=True)
        ]
        if isinstance(reference, Embedded):
            assert order is not None
            features = reference.features[order.tensor_split(2)[number]]
            yield halves, Embedded(features, features[:, :0])
        else:
            yield halves, reference


def _spreads(full: _FullSample, half_parts: np.ndarray) -> tuple[Spread, Spread]:
    """Spreads of FID and of FID infinity, which has the terms of second order of all images and of halves.

    An interval is that of the sum of two distances, from the intervals of each. The distance of the means has
    the bias tr C. That of the covariances has such a bias, a term in 1 / n, and one in 1 / n^2, which is
    four times as large in halves.
    """
    second = np.diag(
        [2 * total.first_square + 4 * total.cross_square for _, _, total in full.orders]
    )
    # The pairs of the reference are common to all sets.
    second += np.mean([2 * total.second_square for _, _, total in full.orders])
    fid_intervals, infinity_intervals = [], []
    for parts, halves, variances, orders in zip(
        full.parts, half_parts, full.part_covariances, full.orders, strict=True
    ):
        trace = orders.means.trace
        bias = (2 * orders.covariances.trace + float(halves[1] - parts[1])) / 3
        means, covariances = (
            distance_spread(float(part) - excess, float(variance), order.variance, order.third)
            for part, excess, variance, order in zip(
                parts, (trace, bias), np.diag(variances), orders, strict=False
            )
        )
        own = [
            interval_of_squared_distance(float(parts[0]), means, trace),
            interval_of_squared_distance(
                float(parts[1]), replace(covariances, bounded=False), bias
            ),
        ]
        infinite = [
            interval_of_squared_distance(
                float(2 * part - half),
                DistanceSpread(2 * distance.at_zero, 0.0, distance.slope, bounded),
            )
            for part, half, distance, bounded in zip(
                parts, halves, (means, covariances), (True, False), strict=True
            )
        ]
        scale = math.sqrt(variances[0, 0] * variances[1, 1])
        correlation = float(np.clip(variances[0, 1] / scale, -1, 1)) if scale > 0 else 0.0
        fid_intervals.append(interval_of_sum(parts, own, correlation))
        infinity_intervals.append(interval_of_sum(2 * parts - halves, infinite, correlation))
    differences: list[DifferenceSpread | None] = [None, None]
    if len(full.orders) == 2:
        contrast = np.array([1, -1])
        second_variance = float(contrast @ second @ contrast)
        totals = [total for _, _, total in full.orders]
        differences = [
            difference_spread(
                float(contrast @ full.plug_in @ contrast),
                full.own_variance,
                second_variance,
                (totals[0].first_square, totals[1].first_square),
                totals[0].concentration,
                independent_variance,
            )
            for independent_variance in (0.0, second_variance)
        ]
    return (
        Spread(full.plug_in, second, intervals=tuple(fid_intervals), difference=differences[0]),
        Spread(
            full.plug_in,
            np.zeros_like(second),
            intervals=tuple(infinity_intervals),
            difference=differences[1],
        ),
    )


def _is_curved(full: _FullSample, images: int) -> bool:
    """Test whether FID infinity of any set is off by more than `_MOST_OFF` of its standard deviation.

    FID is not linear in 1 / n. In simulations of n normal images of one kind, with k = (tr C)^2 / tr C^2
    terms of equal weight, FID infinity was off by about `_CURVATURE` k / n standard deviations.
    """
    for number, (_, _, order) in enumerate(full.orders):
        if order.variance <= 0:
            continue
        terms = 2 * order.trace**2 / order.variance
        equal_variance = 2 * order.variance
        variance = equal_variance + max(0.0, float(full.plug_in[number, number]) - equal_variance)
        if _CURVATURE * terms / images * math.sqrt(equal_variance / variance) > _MOST_OFF:
            return True
    return False


def _too_few(intervals: bool, features: int) -> str:
    if not intervals:
        return NOT_ASKED_FOR
    fewest = max(FEWEST_FOR_INTERVAL, FEWEST_PER_FEATURE_FOR_INTERVAL * features)
    return f"no valid method is known for fewer than {fewest:,} images with {features:,} features"
