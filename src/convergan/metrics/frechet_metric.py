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
    CHUNK,
    FEWEST_PER_FEATURE_OF_INFINITY,
    Factors,
    distance_by_singular_values,
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
from convergan.statistics.intervals import Interval, interval_of_sum
from convergan.statistics.squared_distances import (
    DifferenceSpread,
    DistanceSpread,
    interval_of_squared_distance,
)

METHOD = "delta method, with terms of second order, of means and covariances at every distance"

FEWEST_FOR_INTERVAL = 1000

FEWEST_PER_FEATURE_FOR_INTERVAL = 4
"""Images a feature."""

_LEAST_SINGULAR = 1e-6
"""Of the largest singular value: those below are rounding."""

_CURVATURE = 0.02
_MOST_OFF = 0.3
_CURVED = "none known to hold where FID of {:,} images and of halves of them is on no line"

_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class FrechetMetric(Metric):
    """Frechet distance, and beside it what it would be for infinitely many images.

    FID of n images is too high by about b / n. Of each half of them it is too high by twice that, so that

        FID infinity = 2 FID - (FID of one half + FID of the other) / 2

    the line of Chong and Forsyth (2020, arXiv 1911.07023) through two numbers of images.

    Intervals: with T the map that carries one normal distribution to the other, an image x adds
    2 (m1 - m2) . (x - m1) + (x - m1)^T (I - T) (x - m1) to FID (the delta method: Rippl, Munk and Sturm 2016,
    Journal of Multivariate Analysis 151, 90-109). Near equality, where these are small, terms of second order
    prevail (`_Gaussians._orders`): they are in the sample's own derivatives twice.
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
        whole, of_half = _shared(sets, reference, certain, seed, progress)
        infinity = 2 * whole.values - of_half.sum(axis=1)
        if not certain:
            method = _too_few(self.intervals, features)
            return [
                Measured("FID", list(whole.values), None, method),
                Measured("FID infinity", list(infinity), None, method),
            ]
        far: Spread | None
        spread, far = _spreads(whole, of_half)
        method = METHOD
        if _is_curved(whole, fewest):
            far, method = None, _CURVED.format(fewest)
        return [
            Measured("FID", list(whole.values), spread, METHOD, scale=whole.scale),
            Measured("FID infinity", list(infinity), far, method, scale=whole.scale),
        ]


class _Orders(NamedTuple):
    """Terms of second order: of the distance of the means, of that of the covariances, of both together."""

    means: SecondOrder
    covariances: SecondOrder
    total: SecondOrder


class _Whole(NamedTuple):
    """What FID of all images and its intervals come from.

    Parts of FID are that of the means and that of the covariances.
    """

    parts: Float[np.ndarray, "sets 2"]
    plug_in: Float[np.ndarray, "sets sets"]
    """Covariance by the first derivatives."""
    of_parts: Float[np.ndarray, "sets 2 2"]
    """The same, of the parts of each set."""
    along: float
    """See `_Gaussians._along`; 0 where there are not two sets."""
    orders: list[_Orders]
    """Of each set; none where no interval is known to hold."""
    scale: float

    @property
    def values(self) -> np.ndarray:
        """[sets]."""
        return np.maximum(self.parts.sum(axis=1), 0)


def _shared(
    sets: Sequence[Embedded],
    reference: Embedded | GaussianStatistics,
    certain: bool,
    seed: int,
    progress: Progress | None,
) -> tuple[_Whole, np.ndarray]:
    """All images, and the mean parts of both halves, [sets, 2]: three tasks, which processes share."""
    shared = is_shared()
    own = [task for task in range(3) if not shared or task % ranks() == rank()]
    steps = Steps(progress, len(own))
    whole, of_half = None, np.zeros((len(sets), 2))
    if 0 in own:
        whole = _Gaussians(_features(sets), reference).whole(certain)
        steps.take()
    for task, half in enumerate(_halves(sets, reference, seed), 1):
        if task in own:
            gaussians = _Gaussians(*half)
            of_half += np.array([gaussians.parts(number) for number in range(len(sets))]) / 2
            steps.take()
    if shared:
        whole = broadcast_object(whole)
        of_half = sum_over_ranks(torch.from_numpy(of_half)).numpy()
    assert whole is not None
    return whole, of_half


def _features(sets: Sequence[Embedded]) -> list[Tensor]:
    return [images.features for images in sets]


class _Gaussians:
    """Normal distributions of sets of images and of the reference, and their distances."""

    def __init__(self, sets: Sequence[Tensor], reference: Embedded | GaussianStatistics) -> None:
        self.sets, self.reference = sets, reference
        self.factors = [factors_of_images(features) for features in sets]
        self.real = (
            factors_of_images(reference.features)
            if isinstance(reference, Embedded)
            else factors_of_statistics(reference)
        )

    def parts(self, number: int) -> tuple[float, float]:
        """The distance of one of the sets: of the means, and of the covariances."""
        first = self.factors[number]
        of_means = float((first.mean - self.real.mean).square().sum())
        return of_means, distance_of_factors(first, self.real) - of_means

    def whole(self, certain: bool) -> _Whole:
        """All there is; `certain`: with what intervals come from."""
        parts, own, by_real = [], [], []
        ways = [_Transport(factors, self.real) for factors in self.factors]
        for features, factors, way in zip(self.sets, self.factors, ways, strict=True):
            of_means = float((factors.mean - self.real.mean).square().sum())
            parts.append((of_means, way.distance - of_means))
            own.append(np.cov(way.influence(features, factors.mean)) / len(features))
            if isinstance(self.reference, Embedded):
                by_real.append(way.influence_of_second(self.reference.features))
        of_parts = np.array(own)
        plug_in = np.diag(of_parts.sum(axis=(1, 2)))
        if isinstance(self.reference, Embedded):
            of_parts += [np.cov(one) / len(self.reference) for one in by_real]
            totals = [one.sum(axis=0) for one in by_real]
            plug_in += np.atleast_2d(np.cov(totals)) / len(self.reference)
        along = self._along(ways) if certain and len(ways) == 2 else 0.0
        orders = [self._orders(number) for number in range(len(self.sets) * certain)]
        scale = max(float(one.rows.square().sum()) for one in (*self.factors, self.real))
        return _Whole(np.array(parts), plug_in, of_parts, along, orders, scale)

    def _along(self, ways: Sequence["_Transport"]) -> float:
        """What both sets' own images add to the variance of their difference; see `difference_spread`."""
        found = 0.0
        for features, factors in zip(self.sets, self.factors, strict=True):
            both = np.sum([way.influence(features, factors.mean) for way in ways], axis=(0, 1)) / 2
            found += float(both.var(ddof=1)) / len(features)
        return found

    def _orders(self, number: int) -> _Orders:
        """Of one of the sets. Near equality FID is the squared distance of means in the space of the kernel

            k(x, y) = x . y + 1/2 sum over i, j of x_i x_j y_i y_j / (v_i + v_j)

        where x_i are coordinates, less their mean, along the eigenvectors of the covariance and v_i its
        eigenvalues; its terms are the distance of the means, and that of the covariances.
        """
        first, second = self.factors[number], self.real
        covariance = (first.rows.T @ first.rows + second.rows.T @ second.rows) / 2
        values, vectors = torch.linalg.eigh(covariance)
        sums = values.clamp_min(0).unsqueeze(1) + values.clamp_min(0)
        weights = torch.where(sums > _LEAST_SINGULAR * sums.max(), 0.5 / sums, 0.0)
        features = self.sets[number]
        some = [(subset(features) - first.mean) @ vectors]
        if isinstance(self.reference, Embedded):
            some.append((subset(self.reference.features) - second.mean) @ vectors)
        both = torch.cat(some)
        of_means, of_covariances = both @ both.T, torch.zeros(len(both), len(both)).double()
        for start in range(0, len(both), _ROWS):
            rows, columns = both[start : start + _ROWS], both[start:]
            products = (rows.unsqueeze(1) * columns).flatten(0, 1)
            of_rows = ((products @ weights) * products).sum(dim=1).view(len(rows), len(columns))
            end = start + len(rows)
            of_covariances[start:end, start:] = of_rows
            of_covariances[end:, start:end] = of_rows[:, len(rows) :].T
        images = len(self.reference) if isinstance(self.reference, Embedded) else None
        return _Orders(
            *(
                second_order(kernel, len(some[0]), (len(features), images))
                for kernel in (of_means, of_covariances, of_means + of_covariances)
            )
        )


class _Transport:
    """The optimal way from one normal distribution to another.

    With C1 = A^T A, C2 = B^T B and A B^T = U S V^T the maps from the first to the second and back are
    B^T V S^-1 V^T B and A^T U S^-1 U^T A.
    """

    def __init__(self, first: Factors, second: Factors) -> None:
        self.first, self.second = first, second
        product = first.rows @ second.rows.T
        values, vectors = torch.linalg.eigh(product.T @ product)
        singular = values.clamp_min(0).sqrt()
        self.distance = distance_by_singular_values(first, second, float(singular.sum()))
        kept = singular > _LEAST_SINGULAR * singular.max()
        singular, vectors = singular[kept], vectors[:, kept]
        self.there = second.rows.T @ (vectors / singular.sqrt())
        self.back = first.rows.T @ (product @ (vectors / singular**1.5))

    def influence(self, features: Tensor, mean: Tensor) -> np.ndarray:
        """[2, images]: the derivative of both parts of the distance by each image of the first set, or of
        another with its mean."""
        return _influence(features, mean, self.first.mean - self.second.mean, self.there)

    def influence_of_second(self, features: Tensor) -> np.ndarray:
        """The same, of the second."""
        apart = self.second.mean - self.first.mean
        return _influence(features, self.second.mean, apart, self.back)


def _influence(features: Tensor, mean: Tensor, apart: Tensor, way: Tensor) -> np.ndarray:
    parts = []
    for part in features.split(CHUNK):
        centred = part.double() - mean
        of_covariance = centred.square().sum(dim=1) - (centred @ way).square().sum(dim=1)
        parts.append(torch.stack([2 * centred @ apart, of_covariance]))
    return torch.cat(parts, dim=1).numpy()


def _halves(
    sets: Sequence[Embedded], reference: Embedded | GaussianStatistics, seed: int
) -> Iterator[tuple[list[Tensor], Embedded | GaussianStatistics]]:
    """Twice half of the images of every set, and of the reference if that has images."""
    rng = np.random.default_rng(seed)
    orders = [torch.from_numpy(rng.permutation(len(images))) for images in sets]
    order = (
        torch.from_numpy(rng.permutation(len(reference)))
        if isinstance(reference, Embedded)
        else None
    )
    for number in range(2):
        some = [
            images.features[of_set.tensor_split(2)[number]]
            for images, of_set in zip(sets, orders, strict=True)
        ]
        if isinstance(reference, Embedded):
            assert order is not None
            features = reference.features[order.tensor_split(2)[number]]
            yield some, Embedded(features, features[:, :0])
        else:
            yield some, reference


def _spreads(whole: _Whole, of_half: np.ndarray) -> tuple[Spread, Spread]:
    """Of FID, and of FID infinity, which has the terms of second order twice: of all images and of halves.

    Intervals are those of a sum, from the intervals of the distance of the means and of that of the
    covariances. The first is too high by tr C. The second is so too, a term in 1 / n, and by one in 1 / n^2
    that halves have three times more of.
    """
    second = np.diag(
        [2 * total.first_square + 4 * total.cross_square for _, _, total in whole.orders]
    )
    # All sets have the pairs of the reference in common.
    second += np.mean([2 * total.second_square for _, _, total in whole.orders])
    of_fid, of_infinity = [], []
    for parts, halves, variances, orders in zip(
        whole.parts, of_half, whole.of_parts, whole.orders, strict=True
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
                float(2 * part - half), DistanceSpread(2 * one.at_zero, 0.0, one.slope, bounded)
            )
            for part, half, one, bounded in zip(
                parts, halves, (means, covariances), (True, False), strict=True
            )
        ]
        scale = math.sqrt(variances[0, 0] * variances[1, 1])
        correlation = float(np.clip(variances[0, 1] / scale, -1, 1)) if scale > 0 else 0.0
        of_fid.append(interval_of_sum(parts, own, correlation))
        of_infinity.append(interval_of_sum(2 * parts - halves, infinite, correlation))
    of_difference: list[DifferenceSpread | None] = [None, None]
    if len(whole.orders) == 2:
        contrast = np.array([1, -1])
        of_second = float(contrast @ second @ contrast)
        totals = [total for _, _, total in whole.orders]
        of_difference = [
            difference_spread(
                float(contrast @ whole.plug_in @ contrast),
                whole.along,
                of_second,
                (totals[0].first_square, totals[1].first_square),
                totals[0].concentration,
                besides,
            )
            for besides in (0.0, of_second)
        ]
    return (
        Spread(whole.plug_in, second, intervals=tuple(of_fid), of_difference=of_difference[0]),
        Spread(
            whole.plug_in,
            np.zeros_like(second),
            intervals=tuple(of_infinity),
            of_difference=of_difference[1],
        ),
    )


def _is_curved(whole: _Whole, images: int) -> bool:
    """Whether the line of FID infinity of any set is off by more than `_MOST_OFF` of its standard deviation.

    Of n images of one kind, normal and with k = (tr C)^2 / tr C^2 terms of the same weight, it was off by
    some `_CURVATURE` k / n of it in simulations.
    """
    for number, (_, _, order) in enumerate(whole.orders):
        if order.variance <= 0:
            continue
        terms = 2 * order.trace**2 / order.variance
        of_equal = 2 * order.variance
        variance = of_equal + max(0.0, float(whole.plug_in[number, number]) - of_equal)
        if _CURVATURE * terms / images * math.sqrt(of_equal / variance) > _MOST_OFF:
            return True
    return False


def _too_few(intervals: bool, features: int) -> str:
    if not intervals:
        return NOT_ASKED_FOR
    fewest = max(FEWEST_FOR_INTERVAL, FEWEST_PER_FEATURE_FOR_INTERVAL * features)
    return f"none known to hold for fewer than {fewest:,} images, with {features:,} features"
