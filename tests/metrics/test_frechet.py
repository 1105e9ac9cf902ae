"""The distance is scipy's, torchmetrics' and torch-fidelity's on the same features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from scipy import linalg
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance as Torchmetrics

from convergan.errors import UserError
from convergan.metrics.frechet import (
    FrechetInceptionDistance,
    distance_of_factors,
    factors_of_images,
    frechet_distance,
    gaussian_statistics,
)
from convergan.metrics.metric import GaussianStatistics
from support import on_two_ranks


class Features(nn.Module):
    """Returns its argument."""

    num_features = 12

    def forward(self, features: Tensor) -> Tensor:
        return features


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 12, generator=generator)
    real = torch.randn(300, 12, generator=generator) @ mixing
    return real, torch.randn(250, 12, generator=generator) * 1.3 + 0.4


def distance_of(real: Tensor, generated: Tensor) -> float:
    return frechet_distance(gaussian_statistics(real), gaussian_statistics(generated))


def test_distance_is_that_of_the_formula(sets: tuple[Tensor, Tensor]) -> None:
    (m1, c1), (m2, c2) = (
        (features.mean(axis=0), np.cov(features, rowvar=False))
        for features in (s.double().numpy() for s in sets)
    )
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert distance_of(*sets) == pytest.approx(expected, rel=1e-9)


def test_distance_is_torchmetrics_and_torch_fidelitys(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    module = torch_fidelity("metric_fid")
    reference = module.fid_statistics_to_metric(
        *(module.fid_features_to_statistics(features) for features in sets), False
    )
    assert distance_of(*sets) == pytest.approx(reference["frechet_inception_distance"], rel=1e-4)
    values = []
    for metric in (Torchmetrics(feature=Features()), FrechetInceptionDistance(Features())):
        for real, features in zip((True, False), sets, strict=True):
            for batch in features.split(64):
                metric.update(batch, real=real)
        values.append(float(metric.compute()))
    assert values[1] == pytest.approx(values[0], rel=1e-4)
    assert values[1] == pytest.approx(distance_of(*sets), rel=1e-9)


def test_fewer_images_than_features_and_equal_sets() -> None:
    features = torch.randn(5, 40)
    assert distance_of(features, features) == pytest.approx(0, abs=1e-5)
    moved = features + 2
    assert distance_of(features, moved) == pytest.approx(4 * 40, rel=1e-5)


@pytest.mark.parametrize("count", [30, 80])
def test_factors_of_images_are_those_of_their_statistics(count: int) -> None:
    """The rows are the centred images for 30 images of 50 features, and rows of a root of the covariance for
    80."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(count, 50, generator=generator) for _ in range(2))
    distance = distance_of_factors(factors_of_images(first), factors_of_images(second))
    expected = frechet_distance(gaussian_statistics(first), gaussian_statistics(second))
    assert distance == pytest.approx(expected, rel=1e-7)


def test_a_feature_that_is_always_the_same(sets: tuple[Tensor, Tensor]) -> None:
    """A constant feature leaves the covariance without a Cholesky decomposition, but changes no distance."""
    wider = [torch.cat([features, torch.ones(len(features), 1)], dim=1) for features in sets]
    assert distance_of(*wider) == pytest.approx(distance_of(*sets), rel=1e-7)


def test_no_distance_is_below_zero(sets: tuple[Tensor, Tensor]) -> None:
    for number in range(2, 40):
        assert distance_of(sets[0][:number], sets[0][:number]) >= 0


def test_statistics_stand_for_the_real_images(sets: tuple[Tensor, Tensor]) -> None:
    metric = FrechetInceptionDistance(Features())
    for count in (300, None):
        statistics = gaussian_statistics(sets[0])
        metric.set_reference(GaussianStatistics(statistics.mean, statistics.covariance, count))
        metric.update(sets[1], real=False)
        assert float(metric.compute()) == pytest.approx(distance_of(*sets), rel=1e-6)
        metric.reset()
    metric.update(sets[1][:20], real=False)
    with pytest.warns(
        UserWarning, match="FID of 20 images is far too high: 12 features need at least 24"
    ):
        metric.compute()
    with pytest.raises(ValueError, match="real: expected False after set_reference, got True"):
        metric.update(sets[0], real=True)


def distance_on(rank: int, folder: str, real: Tensor, generated: Tensor) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    metric = FrechetInceptionDistance(Features())
    metric.set_reference(gaussian_statistics(real))
    metric.update(generated[rank::2], real=False)
    torch.save(metric.compute(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.xdist_group("two ranks")
def test_two_processes_have_the_distance_of_one(
    sets: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    """The reference is the same for both, and counts once."""
    on_two_ranks(distance_on, str(tmp_path), *sets)
    for rank in range(2):
        distance = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert float(distance) == pytest.approx(distance_of(*sets), rel=1e-9)


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="second: expected statistics of 12 features, got 5"):
        distance_of(sets[0], torch.randn(9, 5))
    with pytest.raises(UserError, match="mean and covariance: expected at least 2 images, got 1"):
        gaussian_statistics(sets[0][:1])
    with pytest.raises(ValueError, match="expected at least 2 real images, got 0"):
        FrechetInceptionDistance(Features()).compute()
