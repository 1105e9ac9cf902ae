"""Minibatch discrimination by a plain linear map, as in the authors' code for ImageNet."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from authors.imagenet import minibatch_features
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.weight_norm import initialize_from_data


def layer_of(gather: Callable[[Tensor], Tensor] | None = None) -> MinibatchDiscrimination:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(
        5, 4, 3, compare="both_halves", projection="plain", gather=gather
    ).double()
    with torch.no_grad():
        # So that similarities are neither 0 nor 1.
        layer.theta.mul_(20)
    return layer


def random_features(rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 5, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("gather", [None, lambda rows: rows], ids=["alone", "gathered"])
def test_it_is_that_of_the_authors(gather: Callable[[Tensor], Tensor] | None) -> None:
    layer, features = layer_of(gather), random_features(8)
    actual = layer(features, [4, 4])[:, 5:]
    expected = minibatch_features(features, layer.theta)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-14)
    inputs = (features, layer.theta)
    gradients = (torch.autograd.grad(outputs.sin().sum(), inputs) for outputs in (actual, expected))
    for gradient, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gather", [None, lambda rows: rows], ids=["alone", "gathered"])
def test_halves_may_differ_in_size(gather: Callable[[Tensor], Tensor] | None) -> None:
    layer, features = layer_of(gather), random_features(7)
    outputs = layer(features, [5, 2])[:, 5:]
    projected = torch.tensordot(features, layer.theta, dims=1)
    similarity = torch.exp(-(projected[:, None] - projected[None]).abs().sum(3))
    similarity = similarity * (1 - torch.eye(7, dtype=torch.float64))[..., None]
    # All pairs of a sample with another of the half.
    expected = torch.cat([similarity[:, :5].sum(1) / 30, similarity[:, 5:].sum(1) / 12], dim=1)
    torch.testing.assert_close(outputs, expected)


def test_it_has_nothing_but_the_map() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(50, 20, 5, projection="plain")
    assert [name for name, _ in layer.named_parameters()] == ["theta"]
    assert layer.out_features == 70
    assert layer.theta.std().item() == pytest.approx(0.02, rel=0.05)
    initial = layer.theta.detach().clone()
    features = torch.randn(6, 50)
    outputs = initialize_from_data(layer, features)
    assert torch.equal(layer.theta, initial)
    assert isinstance(outputs, Tensor)
    torch.testing.assert_close(outputs, layer(features))


@pytest.mark.usefixtures("unchecked_shapes")
def test_another_projection_is_none() -> None:
    with pytest.raises(ValueError, match="projection must be 'normalized' or 'plain', got 'both'"):
        MinibatchDiscrimination(5, projection="both")  # type: ignore[arg-type]
