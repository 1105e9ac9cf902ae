"""Batch normalization by one half of the batch in some channels, by the other half in the others."""

import pytest
import torch
from torch import Tensor

from authors.imagenet import cross_normed
from convergan.networks.cross_batch_norm import CrossBatchNorm


def random_inputs(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(10, 6), (10, 4, 3, 5)])
def test_it_is_that_of_the_authors(shape: tuple[int, ...]) -> None:
    layer = CrossBatchNorm(shape[1]).double()
    inputs = random_inputs(*shape).requires_grad_()
    expected = cross_normed(inputs, layer.weight, layer.bias)
    outputs = layer(inputs, shape[0] // 2)
    torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-12)
    leaves = (inputs, layer.weight, layer.bias)
    gradients = (torch.autograd.grad(y.sin().sum(), leaves) for y in (outputs, expected))
    for gradient, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-10)


def test_each_half_is_the_measure_of_half_of_the_channels() -> None:
    layer, inputs = CrossBatchNorm(4), random_inputs(9, 4).float()
    outputs = (layer(inputs, 6) - layer.bias) / layer.weight
    for rows, channels in ((slice(6), slice(2)), (slice(6, None), slice(2, None))):
        part = outputs[rows, channels]
        torch.testing.assert_close(part.mean(dim=0), torch.zeros(2), rtol=0, atol=1e-5)
        torch.testing.assert_close(part.var(dim=0, correction=0), torch.ones(2), rtol=1e-3, atol=0)


def test_evaluation_takes_what_training_has_seen() -> None:
    layer = CrossBatchNorm(4, momentum=0.5)
    for seed in range(40):
        # Halves that differ, in all channels.
        layer(
            torch.cat(
                [random_inputs(200, 4, seed=seed), random_inputs(200, 4, seed=99 + seed) - 6]
            ).float(),
            200,
        )
    assert layer.running_mean.tolist() == pytest.approx([3, 3, -3, -3], abs=0.3)
    assert layer.running_var.tolist() == pytest.approx([4] * 4, rel=0.2)
    layer.eval()
    images = random_inputs(5, 4).float()
    alone = torch.cat([layer(image[None], 0) for image in images])
    torch.testing.assert_close(layer(images, 3), alone)
    expected = (images - layer.running_mean) / (layer.running_var + layer.eps).sqrt()
    torch.testing.assert_close(alone, expected * layer.weight + layer.bias)


@pytest.mark.parametrize("channels", [0, 3])
def test_channels_have_two_halves(channels: int) -> None:
    with pytest.raises(ValueError, match=f"even and at least 2, got {channels}"):
        CrossBatchNorm(channels)
