"""The Frechet inception distance (Heusel et al. 2017, arXiv 1706.08500), in float64.

    FID = | m1 - m2 |^2 + Tr( C1 + C2 - 2 (C1 C2)^(1/2) )

between normal distributions with the means and (unbiased) covariances of the features.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance as _TorchmetricsFID

FEWEST_IMAGES = 2048
"""With fewer images than features the covariance is singular, and FID tells their number."""

_CHUNK = 4096


@dataclass(frozen=True)
class GaussianStatistics:
    """Mean and covariance of features."""

    mean: Float[Tensor, "features"]
    """float64."""

    covariance: Float[Tensor, "features features"]
    """float64; divided by the number of images less one."""

    count: int | None = None
    """The number of images, where it is known."""


def gaussian_statistics(
    features: Float[Tensor, "images features"], weights: Float[Tensor, "images"] | None = None
) -> GaussianStatistics:
    """Mean and covariance, in float64, a few thousand images at a time.

    Args:
        features: two images or more.
        weights: how often each image counts; None: once.

    Raises:
        ValueError: fewer than two images.
    """
    if len(features) < 2:
        raise ValueError(f"features: expected at least 2 images, got {len(features)}")
    if weights is None:
        weights = torch.ones(len(features), dtype=torch.float64)
    total = weights.sum()
    parts = list(zip(features.split(_CHUNK), weights.double().split(_CHUNK), strict=True))
    mean = sum((part.T.double() @ weight for part, weight in parts), torch.tensor(0.0)) / total
    covariance = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for part, weight in parts:
        centred = (part.double() - mean) * weight.sqrt().unsqueeze(1)
        covariance.addmm_(centred.T, centred)
    return GaussianStatistics(mean, covariance / (total - 1), int(total))


def frechet_distance(first: GaussianStatistics, second: GaussianStatistics) -> float:
    """See above. The eigenvalues of C1 C2 are those of the symmetric C1^(1/2) C2 C1^(1/2).

    Raises:
        ValueError: features of different length.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            f"expected statistics of as many features, got {len(first.mean)} and {len(second.mean)}"
        )
    values, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * values.clamp_min(0).sqrt()
    product = torch.linalg.eigvalsh(root.T @ second.covariance @ root)
    distance = (
        (first.mean - second.mean).square().sum()
        + first.covariance.trace()
        + second.covariance.trace()
        - 2 * product.clamp_min(0).sqrt().sum()
    )
    return float(distance)


class FrechetInceptionDistance(_TorchmetricsFID):
    """torchmetrics' metric, with our network and its last step in float64.

        fid = FrechetInceptionDistance(load_inception())
        fid.update(real_images, real=True)
        fid.update(generated_images, real=False)
        fid.compute()

    Args:
        network: gives features [batch, d], or an output with a field `features`; has `num_features`, d.
        options: of torchmetrics' metric.
    """

    def __init__(self, network: nn.Module, **options: Any) -> None:
        super().__init__(feature=FeaturesAlone(network), **options)

    def set_reference(self, statistics: GaussianStatistics) -> None:
        """Takes the statistics of the real images in place of `update(..., real=True)`."""
        # The count is free where it is not known: it cancels.
        count = statistics.count or FEWEST_IMAGES
        mean = statistics.mean.to(self.device)
        self.real_features_sum = mean * count
        squares = statistics.covariance.to(self.device) * (count - 1)
        self.real_features_cov_sum = squares + count * torch.outer(mean, mean)
        self.real_features_num_samples = torch.tensor(count, device=self.device)

    def compute(self) -> Tensor:
        """The distance, in float64.

        Raises:
            ValueError: fewer than two images of either kind.
        """
        real, generated = (self._statistics(kind) for kind in ("real", "fake"))
        warn_if_few(generated.count or 0)
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


def warn_if_few(images: int) -> None:
    """Warns below 2,048 images."""
    if images < FEWEST_IMAGES:
        warnings.warn(
            f"FID of {images:,} images, fewer than {FEWEST_IMAGES:,}, is far too high; KID is not biased so",
            stacklevel=3,
        )


class FeaturesAlone(nn.Module):
    """The features of a network's output, as torchmetrics expects them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        if hasattr(network, "num_features"):
            self.num_features = network.num_features

    def forward(self, images: Tensor) -> Tensor:
        """See above."""
        with torch.inference_mode():
            output = self.network(images)
        features: Tensor = getattr(output, "features", output)
        return features
