"""The Frechet inception distance (Heusel et al. 2017, arXiv 1706.08500), in float64.

    FID = | m1 - m2 |^2 + Tr( C1 + C2 - 2 (C1 C2)^(1/2) )

between normal distributions with the means and (unbiased) covariances of the features.
"""

import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance as _TorchmetricsFID

from convergan.errors import UserError, quoted
from convergan.metrics.metric import GaussianStatistics
from convergan.metrics.metric_classes import (
    DistanceClass,
    FeaturesAlone,
    refuse_options_without_effect,
)
from convergan.metrics.requirements import require_features

FEWEST_PER_FEATURE_OF_INFINITY = 2
"""Images per feature below which FID infinity is not computed: halves of them have singular covariances."""

CHUNK = 4096
"""Number of images that are converted to float64 at a time."""


def gaussian_statistics(features: Float[Tensor, "images features"]) -> GaussianStatistics:
    """Compute the mean and the unbiased covariance of features, in float64.

    Args:
        features: features of at least two images, floats.

    Raises:
        UserError: fewer than two images, another shape, or a value that is not finite.
    """
    require_features(features=features)
    mean = mean_of_features(features)
    covariance = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for centred in centred_features(features, mean):
        covariance.addmm_(centred.T, centred)
    return GaussianStatistics(mean, covariance / (len(features) - 1), len(features))


@dataclass(frozen=True)
class Factors:
    """A mean, and a covariance as the product rows^T rows with as few rows as possible."""

    mean: Float[Tensor, "features"]
    rows: Float[Tensor, "rank features"]


def factors_of_images(features: Float[Tensor, "images features"]) -> Factors:
    """Factors of the mean and covariance of images.

    With fewer images than features the rows are the centred images, else those of `factors_of_statistics`.

    Raises:
        UserError: fewer than two images.
    """
    if len(features) >= features.shape[1]:
        return factors_of_statistics(gaussian_statistics(features))
    mean = mean_of_features(features)
    return Factors(
        mean, torch.cat(list(centred_features(features, mean))) / (len(features) - 1) ** 0.5
    )


def factors_of_statistics(statistics: GaussianStatistics) -> Factors:
    """Factors of a mean and a covariance, by Cholesky's decomposition; by eigenvalues if it is singular."""
    lower, failed = torch.linalg.cholesky_ex(statistics.covariance)
    if not failed:
        return Factors(statistics.mean, lower.T)
    values, vectors = torch.linalg.eigh(statistics.covariance)
    return Factors(statistics.mean, (vectors * values.clamp_min(0).sqrt()).T)


def distance_of_factors(first: Factors, second: Factors) -> float:
    """Squared Fréchet distance of two normal distributions, 0 or more.

    With C1 = A^T A and C2 = B^T B, the square roots of the eigenvalues of C1 C2 are the singular values of
    A B^T.
    """
    product = first.rows @ second.rows.T
    if len(first.rows) > len(second.rows):
        product = product.T
    singular_values = torch.linalg.eigvalsh(product @ product.T).clamp_min(0).sqrt()
    return distance_by_singular_values(first, second, float(singular_values.sum()))


def distance_by_singular_values(
    first: Factors, second: Factors, sum_of_singular_values: float
) -> float:
    distance = (
        (first.mean - second.mean).square().sum()
        + first.rows.square().sum()
        + second.rows.square().sum()
        - 2 * sum_of_singular_values
    )
    return max(0.0, float(distance))


def frechet_distance(first: GaussianStatistics, second: GaussianStatistics) -> float:
    """Compute the squared Fréchet distance of two normal distributions: FID, given statistics of features.

    Args:
        first: statistics of one set of images, as `gaussian_statistics` returns them.
        second: statistics of the other.

    Returns:
        0 or more, computed in float64.

    Raises:
        UserError: an argument is not such statistics, is not finite, or the numbers of features differ.

    Example:
        >>> import torch
        >>> from convergan import frechet_distance, gaussian_statistics
        >>> statistics = gaussian_statistics(torch.randn(100, 8))
        >>> frechet_distance(statistics, statistics) < 1e-9
        True
    """
    require_statistics("first", first)
    require_statistics("second", second, len(first.mean))
    return distance_of_factors(factors_of_statistics(first), factors_of_statistics(second))


def require_statistics(name: str, statistics: Any, features: int | None = None) -> None:
    """Check the mean and the covariance of features.

    Args:
        name: the argument, for the message.
        statistics: the statistics.
        features: the number of features; None: any.

    Raises:
        UserError: they are not `GaussianStatistics` of floats, of this number of features, or not finite.
    """
    if not isinstance(statistics, GaussianStatistics):
        raise UserError(
            f"{name}: expected the statistics that gaussian_statistics returns, got"
            f" {type(statistics).__name__}"
        )
    mean, covariance = statistics.mean, statistics.covariance
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise UserError(
            f"{name}: expected a mean [d] and a covariance [d, d], got {list(mean.shape)} and"
            f" {list(covariance.shape)}"
        )
    if features not in (None, len(mean)):
        raise UserError(f"{name}: expected statistics of {features} features, got {len(mean)}")
    for part, values in (("mean", mean), ("covariance", covariance)):
        if not values.isfinite().all():
            raise UserError(f"{name}: expected a finite {part}, got NaN or infinity")


class FrechetInceptionDistance(DistanceClass, _TorchmetricsFID):  # type: ignore[override]
    """FID as a torchmetrics metric, for any network, with the distance computed in float64.

        fid = FrechetInceptionDistance(load_inception())
        fid.update(real_images, real=True)
        fid.update(generated_images, real=False)
        fid.compute()

    The sums that it keeps are float64, also of a network in half precision. `persistent(True)` puts them into
    the `state_dict`, from which they continue; a reference that was set must be set again.

    Args:
        network: a module that turns images into features [batch, d], floats, or into an output with a field
            `features`, and has the attribute `num_features`, d. It gets the images as they are, is used in
            evaluation mode, and left in the mode that it was in.
        options: `reset_real_features`, and options of `torchmetrics.Metric`.

    Raises:
        UserError: the network has no `num_features`, or an option would have no effect, such as `normalize`.
    """

    def __init__(self, network: nn.Module, **options: Any) -> None:
        refuse_options_without_effect(_TorchmetricsFID, options)
        super().__init__(feature=FeaturesAlone(network, _num_features(network)), **options)
        # Not a state: states are summed over processes, but each process has the whole reference.
        self._reference: GaussianStatistics | None = None

    def set_reference(self, statistics: GaussianStatistics) -> None:
        """Set the statistics of the real images, in place of `update(..., real=True)`.

        `reset` keeps them.

        Raises:
            UserError: they are not finite statistics of as many features as the network has.
        """
        require_statistics("statistics", statistics, len(self.real_features_sum))
        self._reference = statistics

    def update(self, imgs: Tensor, real: bool) -> None:
        """Add images.

        Args:
            imgs: input of the network.
            real: True for real images, False for generated ones.

        Raises:
            UserError: the network's features are not floats [batch, num_features], or not finite.
            ValueError: the images are real, but `set_reference` has set their statistics.
        """
        if real and self._reference is not None:
            raise ValueError("real: expected False after set_reference, got True")
        super().update(imgs, real)

    def compute(self) -> Tensor:
        """Compute the distance, in float64.

        Raises:
            ValueError: fewer than two real or two generated images.
        """
        real = self._reference
        if real is None:
            real = self._statistics("real")
        mean, covariance = (statistic.to(self.device) for statistic in (real.mean, real.covariance))
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
            name = "real" if kind == "real" else "generated"
            raise ValueError(f"expected at least 2 {name} images, got {count}")
        mean = total / count
        covariance = (squares - count * torch.outer(mean, mean)) / (count - 1)
        return GaussianStatistics(mean, covariance, count)


def mean_of_features(features: Tensor) -> Tensor:
    if len(features) < 2:
        raise UserError(f"mean and covariance: expected at least 2 images, got {len(features)}")
    mean = torch.zeros(features.shape[1], dtype=torch.float64)
    for part in features.split(CHUNK):
        mean += part.double().sum(dim=0)
    return mean / len(features)


def centred_features(features: Tensor, mean: Tensor) -> Iterator[Tensor]:
    """Yield chunks of features less the mean, float64."""
    for part in features.split(CHUNK):
        yield part.double() - mean


def warn_if_few(images: int, features: int) -> None:
    """Warn if there are fewer than `FEWEST_PER_FEATURE_OF_INFINITY` images per feature."""
    fewest = FEWEST_PER_FEATURE_OF_INFINITY * features
    if images < fewest:
        warnings.warn(
            f"FID of {images:,} images is far too high: {features:,} features need at least {fewest:,}"
            " images; KID has no such bias",
            stacklevel=3,
        )


def _num_features(network: nn.Module) -> int:
    """Number of features that a network says it has.

    Raises:
        UserError: it does not say so.
    """
    number: Any = getattr(network, "num_features", None)
    try:
        count = operator.index(number)
    except TypeError:
        count = 0
    if count < 1:
        raise UserError(
            "network: expected an attribute num_features, the number of its features, got"
            f" {quoted(number)}; for 512 features: network.num_features = 512"
        )
    return count
