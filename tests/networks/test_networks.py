"""The paper's networks: their sizes, their ranges, what they start from."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from convergan.errors import UserError
from convergan.networks import layers
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.layers import ImageByImage
from convergan.networks.noise import GaussianNoise
from convergan.recipes.networks import ConvSettings, MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.techniques.weight_norm import initialize_from_data

SMALL_MLP = MLPSettings(hidden=(30, 20), generator_hidden=(25,), latent_size=10)
SMALL_CONV = ConvSettings(width=8, generator_width=16, latent_size=10)
STILL_CONV = replace(SMALL_CONV, input_dropout=0.0, hidden_dropout=0.0)


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_mnist_networks_have_the_papers_sizes() -> None:
    settings = PRESETS["mnist"].networks
    discriminator = build_discriminator(settings, (1, 28, 28), 10)
    widths = [784, 1000, 500, 250, 250, 250]
    hidden = sum(a * b + b for a, b in pairwise(widths))
    # Hidden gains are fixed: only the output's ten are trained.
    assert count(discriminator) == hidden + 250 * 10 + 10 + 10
    generator = build_generator(settings, (1, 28, 28))
    assert count(generator) == 100 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784 + 784


def test_cifar_networks_have_the_papers_sizes() -> None:
    settings = PRESETS["cifar10"].networks
    discriminator = build_discriminator(settings, (3, 32, 32), 10)
    shapes = [
        (3, 96, 9), (96, 96, 9), (96, 96, 9), (96, 192, 9), (192, 192, 9), (192, 192, 9),
        (192, 192, 9), (192, 192, 1), (192, 192, 1),
    ]  # fmt: skip
    hidden = sum(inputs * outputs * area + outputs for inputs, outputs, area in shapes)
    assert count(discriminator) == hidden + 192 * 10 + 10 + 10
    generator = build_generator(settings, (3, 32, 32))
    dense = 100 * 512 * 16 + 512 * 16
    deconvs = 512 * 256 * 25 + 256 + 256 * 128 * 25 + 128 + 128 * 3 * 25 + 3 + 3
    assert count(generator) == dense + deconvs


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (SMALL_MLP, (1, 8, 8)),
        (SMALL_MLP, (3, 5, 9)),
        (SMALL_CONV, (3, 32, 32)),
        (SMALL_CONV, (1, 28, 28)),
        (SMALL_CONV, (3, 9, 9)),
        (SMALL_CONV, (3, 50, 33)),
        (SMALL_CONV, (1, 96, 96)),
    ],
)
def test_any_size_goes_through(
    settings: MLPSettings | ConvSettings, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(settings, shape, 4)
    generator = build_generator(settings, shape)
    images = generator(generator.latent(5, "cpu"))
    assert images.shape == (5, *shape)
    low, high = generator.pixel_range
    assert low <= images.min() and images.max() <= high
    assert discriminator.pixel_range == generator.pixel_range
    output = discriminator(images)
    assert output.logits.shape == (5, 4)
    assert output.features.shape[0] == 5


def test_images_too_small_for_the_convolutions() -> None:
    with pytest.raises(UserError, match=r"expected images of at least 9 px, got 8x8.*size-px"):
        build_discriminator(SMALL_CONV, (1, 8, 8), 2)


@pytest.mark.parametrize(
    "settings", [replace(SMALL_MLP, input_noise=0.0, hidden_noise=0.0), STILL_CONV]
)
def test_minibatch_groups_do_not_see_each_other(settings: MLPSettings | ConvSettings) -> None:
    torch.manual_seed(0)
    network = build_discriminator(replace(settings, minibatch_kernels=6), (3, 16, 16), 2)
    low, high = network.pixel_range
    images = low + (high - low) * torch.rand(12, 3, 16, 16)
    joint = network(images, [4, 8]).logits
    torch.testing.assert_close(joint[:4], network(images[:4]).logits)
    torch.testing.assert_close(joint[4:], network(images[4:]).logits)
    assert not torch.allclose(joint, network(images).logits)


def test_blocks_of_images_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = build_discriminator(STILL_CONV, (3, 16, 16), 4).double()
    assert isinstance(network.layers, ImageByImage)
    images = torch.rand(50, 3, 16, 16, dtype=torch.float64) * 2 - 1
    sizes: list[int] = []
    network.layers[0].register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))

    def logits_and_gradients() -> list[Tensor]:
        leaf = images.clone().requires_grad_()
        output = network(leaf)
        loss = (output.logits.sin().sum() + output.features.cos().sum()) / 50
        return [output.logits, *torch.autograd.grad(loss, [leaf, *network.parameters()])]

    expected = logits_and_gradients()
    # Room for the widest maps of 13 images.
    monkeypatch.setattr(layers, "LARGEST_MAPS_BYTES", 13 * 8 * 16 * 16 * 8)
    in_blocks = logits_and_gradients()
    assert sizes == [50, 13, 13, 13, 11]
    torch.testing.assert_close(in_blocks, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("largest_maps_bytes", [layers.LARGEST_MAPS_BYTES, 10 * 8 * 16 * 16 * 4])
def test_data_dependent_initialization_reaches_every_layer(
    largest_maps_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LARGEST_MAPS_BYTES", largest_maps_bytes)
    torch.manual_seed(0)
    network = build_discriminator(STILL_CONV, (3, 16, 16), 4)
    images = torch.rand(64, 3, 16, 16) * 2 - 1
    initialize_from_data(network, images)
    logits = network(images).logits
    torch.testing.assert_close(logits.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    # The paper's output layer starts small.
    torch.testing.assert_close(
        logits.std(dim=0, unbiased=False), torch.full((4,), 0.1), rtol=1e-3, atol=0
    )


def test_noise_has_its_deviation_and_only_in_training() -> None:
    torch.manual_seed(0)
    noise = GaussianNoise(0.3)
    inputs = torch.ones(200, 200)
    assert (noise(inputs) - inputs).std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noise.eval()(inputs), inputs)


def test_samples_are_compared_in_groups_as_large_as_in_a_step() -> None:
    torch.manual_seed(0)
    network = build_discriminator(replace(STILL_CONV, minibatch_kernels=5), (3, 16, 16), 4)
    images = torch.rand(10, 3, 16, 16)
    logits = network(images).logits
    network.group_size = 4
    assert network.groups_of(10) == [4, 4, 2]
    parts = torch.cat([network(part).logits for part in images.split(4)])
    torch.testing.assert_close(network(images).logits, parts)
    assert not torch.allclose(logits, parts)
