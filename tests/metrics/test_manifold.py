"""Precision, recall, density and coverage are their definitions, and torch-fidelity's."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convergan.metrics.manifold import find_balls, overlap


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(70, 3, generator=generator) * 0.8 + 0.5,
        torch.randn(60, 3, generator=generator),
    )


def radius(points: Tensor, k: int) -> Tensor:
    return torch.cdist(points, points).fill_diagonal_(torch.inf).kthvalue(k, dim=1).values


def test_all_four_are_their_definitions(
    sets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.metrics.neighbours._CHUNK", 16)
    generated, real = (some.double() for some in sets)
    distances = torch.cdist(generated, real)
    inside, wide = distances <= radius(real, 3), distances <= radius(real, 5)
    expected = (
        inside.any(dim=1).double().mean(),
        (distances <= radius(generated, 3).unsqueeze(1)).any(dim=0).double().mean(),
        wide.sum() / (5 * len(generated)),
        wide.any(dim=0).double().mean(),
    )
    got = overlap(find_balls(*sets))
    np.testing.assert_allclose(np.concatenate(got), [float(value) for value in expected])
    assert all(0 < value[0] < 1 for value in (got.precision, got.recall, got.coverage))


def test_precision_and_recall_are_torch_fidelitys(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    theirs = torch_fidelity("metric_prc").calculate_precision_recall_part(*sets)
    got = overlap(find_balls(*sets))
    assert (float(got.precision[0]), float(got.recall[0])) == pytest.approx(theirs, abs=1e-6)


def test_equal_sets_overlap_and_distant_ones_do_not() -> None:
    points = torch.randn(40, 4)
    same = overlap(find_balls(points, points))
    assert same.precision == same.recall == same.coverage == 1
    # Each is in its own ball and in those of others.
    assert same.density > 1
    apart = overlap(find_balls(points, points + 100))
    assert all(value == 0 for value in apart)


def test_weights_leave_balls_as_large_as_they_are(sets: tuple[Tensor, Tensor]) -> None:
    balls = find_balls(*sets)
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 3, size=(2, len(sets[0])))
    real_weights = generator.integers(0, 3, size=(2, len(sets[1])))
    got = overlap(balls, weights, real_weights)
    inside = balls.in_real.toarray() > 0
    for number, (of_generated, of_real) in enumerate(zip(weights, real_weights, strict=True)):
        in_any = inside[:, of_real > 0].any(axis=1)
        expected = np.average(in_any, weights=of_generated)
        assert got.precision[number] == pytest.approx(expected)


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="as many features, got 3 and 2"):
        find_balls(sets[0], sets[1][:, :2])
    with pytest.raises(ValueError, match="k: expected 1 to 4, the number of neighbours, got 5"):
        find_balls(sets[0], sets[1][:5])
