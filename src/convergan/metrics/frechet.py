"""The Frechet inception distance (Heusel et al. 2017, arXiv 1706.08500), in float64.

    FID = | m1 - m2 |^2 + Tr( C1 + C2 - 2 (C1 C2)^(1/2) )

between normal distributions with the means and (unbiased) covariances of the features.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance as _TorchmetricsFID

from convergan.errors import UserError
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
from convergan.metrics.modes import evaluation_mode
from convergan.metrics.steps import Progress, Steps
from convergan.statistics.intervals import Interval

METHOD = "delta method, terms of second order by halves"

FEWEST_FOR_INTERVAL = 1000

FEWEST_PER_FEATURE_FOR_INTERVAL = 4
"""Images a feature."""

FEWEST_PER_FEATURE_OF_INFINITY = 2
"""Halves of fewer images have singular covariances, and their FID is on no line."""

_LEAST_SINGULAR = 1e-6
"""Of the largest singular value: those below are rounding."""

_CHUNK = 4096


def gaussian_statistics(features: Float[Tensor, "images features"]) -> GaussianStatistics:
    """Mean and covariance, in float64, a few thousand images at a time.

    Args:
        features: two images or more.

    Raises:
        UserError: fewer than two images.
    """
    mean = _mean(features)
    covariance = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for centred in _centred(features, mean):
        covariance.addmm_(centred.T, centred)
    return GaussianStatistics(mean, covariance / (len(features) - 1), len(features))


@dataclass(frozen=True)
class Factors:
    """A mean, and a covariance as rows^T rows: what a distance needs, in the fewest rows."""

    mean: Float[Tensor, "features"]
    rows: Float[Tensor, "rank features"]


def factors_of_images(features: Float[Tensor, "images features"]) -> Factors:
    """Those of `gaussian_statistics`. Of fewer images than features they are the images, centred.

    Raises:
        UserError: fewer than two images.
    """
    if len(features) >= features.shape[1]:
        return factors_of_statistics(gaussian_statistics(features))
    mean = _mean(features)
    return Factors(mean, torch.cat(list(_centred(features, mean))) / (len(features) - 1) ** 0.5)


def factors_of_statistics(statistics: GaussianStatistics) -> Factors:
    """By Cholesky's decomposition; where the covariance is singular, by its eigenvalues."""
    lower, failed = torch.linalg.cholesky_ex(statistics.covariance)
    if not failed:
        return Factors(statistics.mean, lower.T)
    values, vectors = torch.linalg.eigh(statistics.covariance)
    return Factors(statistics.mean, (vectors * values.clamp_min(0).sqrt()).T)


def distance_of_factors(first: Factors, second: Factors) -> float:
    """See above; 0 or more. With C1 = A^T A and C2 = B^T B the roots of the eigenvalues of C1 C2 are the
    singular values of A B^T.

    Raises:
        ValueError: features of different length.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            f"expected statistics of as many features, got {len(first.mean)} and {len(second.mean)}"
        )
    product = first.rows @ second.rows.T
    if len(first.rows) > len(second.rows):
        product = product.T
    singular_values = torch.linalg.eigvalsh(product @ product.T).clamp_min(0).sqrt()
    return _distance(first, second, float(singular_values.sum()))


def _distance(first: Factors, second: Factors, sum_of_singular_values: float) -> float:
    distance = (
        (first.mean - second.mean).square().sum()
        + first.rows.square().sum()
        + second.rows.square().sum()
        - 2 * sum_of_singular_values
    )
    return max(0.0, float(distance))


def frechet_distance(first: GaussianStatistics, second: GaussianStatistics) -> float:
    """The squared Fréchet distance of two Gaussians: FID, of the statistics of features.

    Args:
        first: of one set of images.
        second: of the other.

    Returns:
        0 or more; computed in float64.

    Raises:
        ValueError: features of different length.

    Example:
        >>> import torch
        >>> from convergan import frechet_distance, gaussian_statistics
        >>> statistics = gaussian_statistics(torch.randn(100, 8))
        >>> frechet_distance(statistics, statistics) < 1e-9
        True
    """
    return distance_of_factors(factors_of_statistics(first), factors_of_statistics(second))


class FrechetInceptionDistance(_TorchmetricsFID):
    """torchmetrics' metric, with our network and its last step in float64.

        fid = FrechetInceptionDistance(load_inception())
        fid.update(real_images, real=True)
        fid.update(generated_images, real=False)
        fid.compute()

    Args:
        network: gives features [batch, d], or an output with a field `features`; has `num_features`, d. It is
            used in evaluation mode, and left in the mode that it was in.
        options: of torchmetrics' metric.
    """

    def __init__(self, network: nn.Module, **options: Any) -> None:
        super().__init__(feature=FeaturesAlone(network), **options)
        # No state: states are summed over processes, each of which has all of this.
        self._reference: GaussianStatistics | None = None

    def set_reference(self, statistics: GaussianStatistics) -> None:
        """Takes the statistics of the real images in place of `update(..., real=True)`; for good, as `reset`
        keeps them."""
        self._reference = statistics

    def update(self, imgs: Tensor, real: bool) -> None:
        """Adds images.

        Raises:
            ValueError: they are real ones, where `set_reference` has given their statistics.
        """
        if real and self._reference is not None:
            raise ValueError("real: expected False after set_reference, got True")
        super().update(imgs, real)

    def compute(self) -> Tensor:
        """The distance, in float64.

        Raises:
            ValueError: fewer than two images of either kind.
        """
        real = self._reference
        if real is None:
            real = self._statistics("real")
        mean, covariance = (of.to(self.device) for of in (real.mean, real.covariance))
        real = GaussianStatistics(mean, covariance)
        generated = self._statistics("fake")
        warn_if_few(generated.count or 0, len(mean))
        return torch.tensor(frechet_distance(real, generated), dtype=torch.float64)

    def _statistics(self, kind: str) -> GaussianStatistics:
        total, squares, number = (
            getattr(self, f"{kind}_features_{name}") for name in ("sum", "cov_sum", "num_samples")
        )
        count = int(number)
        if count < 2:
            shown = "real" if kind == "real" else "generated"
            raise ValueError(f"expected at least 2 {shown} images, got {count}")
        mean = total / count
        covariance = (squares - count * torch.outer(mean, mean)) / (count - 1)
        return GaussianStatistics(mean, covariance, count)


@dataclass(frozen=True, kw_only=True)
class FrechetMetric(Metric):
    """Frechet distance, and beside it what it would be for infinitely many images.

    FID of n images is too high by about b / n. Of each half of them it is too high by twice that, so that

        FID infinity = 2 FID - (FID of one half + FID of the other) / 2

    the line of Chong and Forsyth (2020, arXiv 1911.07023) through two numbers of images.

    Intervals: with T the map that carries one normal distribution to the other, an image x adds
    2 (m1 - m2) . (x - m1) + (x - m1)^T (I - T) (x - m1) to FID (the delta method: Rippl, Munk and Sturm 2016,
    Journal of Multivariate Analysis 151, 90-109). Near equality, where these are small, terms of second order
    prevail: they are in the sample's own derivatives twice, and of half as many images four times as large
    (`Spread`), so that both halves tell them.
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
        halves = fewest >= FEWEST_PER_FEATURE_OF_INFINITY * features
        steps = Steps(progress, 3 if halves else 1)
        whole = _Gaussians([images.features for images in sets], reference)
        if not halves:
            alone = [whole.distance(number) for number in range(len(sets))]
            steps.take()
            return [Measured("FID", alone, None, _too_few(self.intervals, features))]
        values, plug_in = whole.values_and_covariance()
        steps.take()
        of_halves = []
        for half in _halves(sets, reference, seed):
            of_halves.append(_Gaussians(*half).values_and_covariance())
            steps.take()
        of_half, plug_in_of_half = (
            np.mean([half[part] for half in of_halves], axis=0) for part in (0, 1)
        )
        spread = far = None
        method = _too_few(self.intervals, features)
        if self.intervals and fewest >= max(
            FEWEST_FOR_INTERVAL, FEWEST_PER_FEATURE_FOR_INTERVAL * features
        ):
            spread = Spread(plug_in, (plug_in_of_half - 2 * plug_in) / 4)
            # Of images in different halves alone: as many pairs again as all have on either side.
            far = Spread(plug_in, np.zeros_like(plug_in))
            method = METHOD
        return [
            Measured("FID", list(values), spread, method),
            Measured("FID infinity", list(2 * values - of_half), far, method),
        ]


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

    def distance(self, number: int) -> float:
        """Of one of the sets."""
        return distance_of_factors(self.factors[number], self.real)

    def values_and_covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """[sets] and [sets, sets]: distances, and their covariance by the first derivatives."""
        values, own, by_real = [], [], []
        for features, factors in zip(self.sets, self.factors, strict=True):
            way = _Transport(factors, self.real)
            values.append(way.distance)
            own.append(np.var(way.influence(features), ddof=1) / len(features))
            if isinstance(self.reference, Embedded):
                by_real.append(way.influence_of_second(self.reference.features))
        covariance = np.diag(own)
        if isinstance(self.reference, Embedded):
            covariance += np.atleast_2d(np.cov(by_real)) / len(self.reference)
        return np.array(values), covariance


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
        self.distance = _distance(first, second, float(singular.sum()))
        kept = singular > _LEAST_SINGULAR * singular.max()
        singular, vectors = singular[kept], vectors[:, kept]
        self.there = second.rows.T @ (vectors / singular.sqrt())
        self.back = first.rows.T @ (product @ (vectors / singular**1.5))

    def influence(self, features: Tensor) -> np.ndarray:
        """[images]: the derivative of the distance by each image of the first set."""
        return _influence(features, self.first.mean, self.second.mean, self.there)

    def influence_of_second(self, features: Tensor) -> np.ndarray:
        """The same, of the second."""
        return _influence(features, self.second.mean, self.first.mean, self.back)


def _influence(features: Tensor, mean: Tensor, other_mean: Tensor, way: Tensor) -> np.ndarray:
    parts = []
    for part in features.split(_CHUNK):
        centred = part.double() - mean
        of_part = centred.square().sum(dim=1) - (centred @ way).square().sum(dim=1)
        parts.append(of_part.add_(centred @ (mean - other_mean), alpha=2))
    return torch.cat(parts).numpy()


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


def _too_few(intervals: bool, features: int) -> str:
    if not intervals:
        return NOT_ASKED_FOR
    fewest = max(FEWEST_FOR_INTERVAL, FEWEST_PER_FEATURE_FOR_INTERVAL * features)
    return f"none known to hold for fewer than {fewest:,} images, with {features:,} features"


def _mean(features: Tensor) -> Tensor:
    if len(features) < 2:
        raise UserError(f"mean and covariance: expected at least 2 images, got {len(features)}")
    mean = torch.zeros(features.shape[1], dtype=torch.float64)
    for part in features.split(_CHUNK):
        mean += part.double().sum(dim=0)
    return mean / len(features)


def _centred(features: Tensor, mean: Tensor) -> Iterator[Tensor]:
    """Images less the mean, some at a time; float64."""
    for part in features.split(_CHUNK):
        yield part.double() - mean


def warn_if_few(images: int, features: int) -> None:
    """Warns of fewer images than `FEWEST_PER_FEATURE_OF_INFINITY` a feature."""
    fewest = FEWEST_PER_FEATURE_OF_INFINITY * features
    if images < fewest:
        warnings.warn(
            f"FID of {images:,} images, fewer than {fewest:,}, with {features:,} features, is far too high;"
            " KID is not biased so",
            stacklevel=3,
        )


class FeaturesAlone(nn.Module):
    """The features of a network's output, as torchmetrics expects them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        if hasattr(network, "num_features"):
            self.num_features = network.num_features

    def forward(self, images: Shaped[Tensor, "batch *image"]) -> Float[Tensor, "batch *features"]:
        """See above."""
        with evaluation_mode(self.network), torch.inference_mode():
            output = self.network(images)
        features: Tensor = getattr(output, "features", output)
        return features
