"""KID agrees with its formula, and with torchmetrics and torch-fidelity on a subset of all images; it has no
bias."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance as Torchmetrics

from convergan.errors import UserError
from convergan.metrics.kernel_distance import (
    KernelMetric,
    kernel_distance,
    kernel_distance_of_subsets,
)
from convergan.metrics.kernel_inception_distance import KernelInceptionDistance
from convergan.metrics.metric import Embedded

SIZE = 90


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(SIZE, 20, generator=generator, dtype=torch.float64) * scale for scale in (1, 1.2)
    )  # type: ignore[return-value]


def literal(x: Tensor, y: Tensor) -> float:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def off_diagonal(k: Tensor) -> Tensor:
        return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

    within_sets = off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y))
    return float(within_sets - 2 * kernel(x, y).mean())


def test_distance_is_the_formula_chunk_by_chunk(
    sets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.metrics.pairs.BLOCK", 32)
    assert float(kernel_distance(*sets)) == pytest.approx(literal(*sets), rel=1e-9)
    assert float(kernel_distance(sets[0], sets[1][:40])) == pytest.approx(
        literal(sets[0], sets[1][:40]), rel=1e-9
    )


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
def test_distance_is_that_of_others_on_one_subset(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    expected = float(kernel_distance(*sets))
    reference = torch_fidelity("metric_kid").kid_features_to_metric(
        *sets, kid_subsets=1, kid_subset_size=SIZE, rng_seed=0, verbose=False
    )
    assert reference["kernel_inception_distance_mean"] == pytest.approx(expected, rel=1e-4)
    for metric in (
        Torchmetrics(feature=nn.Identity(), subsets=1, subset_size=SIZE),
        KernelInceptionDistance(nn.Identity(), subsets=1, subset_size=SIZE),
        KernelInceptionDistance(nn.Identity()),
    ):
        for real, features in zip((True, False), sets, strict=True):
            metric.update(features, real=real)
        mean, stdev = metric.compute()
        assert float(mean) == pytest.approx(expected, rel=1e-4)
        assert float(stdev) == 0


def test_of_images_from_one_distribution_it_is_zero_on_average() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.stack(
        [
            kernel_distance(
                torch.randn(20, 5, generator=generator), torch.randn(25, 5, generator=generator)
            )
            for _ in range(400)
        ]
    )
    assert abs(float(values.mean())) < 3 * float(values.std()) / 400**0.5
    assert float(values.std()) > 0


def test_subsets_are_seeded(sets: tuple[Tensor, Tensor]) -> None:
    first, repeated, reseeded = (
        kernel_distance_of_subsets(*sets, subsets=5, subset_size=30, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == repeated != reseeded
    assert float(first.mean) == pytest.approx(
        float(kernel_distance(*sets)), abs=4 * float(first.stdev)
    )
    with pytest.raises(ValueError, match=f"subset_size: expected at most {SIZE}"):
        kernel_distance_of_subsets(*sets, subset_size=SIZE + 1)


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="second: expected 20 features, as first has, got 3"):
        kernel_distance(sets[0], torch.rand(9, 3))
    images, reference = (Embedded(features, features) for features in (sets[0], torch.rand(9, 3)))
    with pytest.raises(ValueError, match="equal numbers of features, got 20 and 3"):
        KernelMetric().measure([images], reference)
    with pytest.raises(UserError, match="KID: expected at least 2 images, got 90 and 1"):
        kernel_distance(sets[0], sets[1][:1])
