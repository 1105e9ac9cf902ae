"""The distance is scipy's, torchmetrics' and torch-fidelity's on the same features."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance as Torchmetrics

from convergan.metrics.frechet import (
    FrechetInceptionDistance,
    GaussianStatistics,
    frechet_distance,
    gaussian_statistics,
)


class Features(nn.Module):
    """Gives what it is given."""

    num_features = 12

    def forward(self, features: Tensor) -> Tensor:
        return features


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 12, generator=generator)
    real = torch.randn(300, 12, generator=generator) @ mixing
    return real, torch.randn(250, 12, generator=generator) * 1.3 + 0.4


def ours(real: Tensor, generated: Tensor) -> float:
    return frechet_distance(gaussian_statistics(real), gaussian_statistics(generated))


def test_distance_is_that_of_the_formula(sets: tuple[Tensor, Tensor]) -> None:
    (m1, c1), (m2, c2) = (
        (some.mean(axis=0), np.cov(some, rowvar=False))
        for some in (s.double().numpy() for s in sets)
    )
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert ours(*sets) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:FID of")
def test_distance_is_torchmetrics_and_torch_fidelitys(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    module = torch_fidelity("metric_fid")
    theirs = module.fid_statistics_to_metric(
        *(module.fid_features_to_statistics(some) for some in sets), False
    )
    assert ours(*sets) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    values = []
    for metric in (Torchmetrics(feature=Features()), FrechetInceptionDistance(Features())):
        for real, some in zip((True, False), sets, strict=True):
            for batch in some.split(64):
                metric.update(batch, real=real)
        values.append(float(metric.compute()))
    assert values[1] == pytest.approx(values[0], rel=1e-4)
    assert values[1] == pytest.approx(ours(*sets), rel=1e-9)


def test_fewer_images_than_features_and_equal_sets() -> None:
    few = torch.randn(5, 40)
    assert ours(few, few) == pytest.approx(0, abs=1e-5)
    moved = few + 2
    assert ours(few, moved) == pytest.approx(4 * 40, rel=1e-5)


def test_weights_are_repetitions(sets: tuple[Tensor, Tensor]) -> None:
    counts = torch.randint(0, 4, (len(sets[0]),))
    weighted = gaussian_statistics(sets[0], counts)
    repeated = gaussian_statistics(sets[0].repeat_interleave(counts, dim=0))
    assert weighted.count == repeated.count == int(counts.sum())
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.covariance, repeated.covariance)


def test_statistics_stand_for_the_real_images(sets: tuple[Tensor, Tensor]) -> None:
    metric = FrechetInceptionDistance(Features())
    for count in (300, None):
        statistics = gaussian_statistics(sets[0])
        metric.set_reference(GaussianStatistics(statistics.mean, statistics.covariance, count))
        metric.update(sets[1], real=False)
        with pytest.warns(UserWarning, match="FID of .* images, fewer than 2,048"):
            assert float(metric.compute()) == pytest.approx(ours(*sets), rel=1e-6)
        metric.reset()


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="as many features, got 12 and 5"):
        ours(sets[0], torch.randn(9, 5))
    with pytest.raises(ValueError, match="expected at least 2 images, got 1"):
        gaussian_statistics(sets[0][:1])
    with pytest.raises(ValueError, match="expected at least 2 real images, got 0"):
        FrechetInceptionDistance(Features()).compute()
