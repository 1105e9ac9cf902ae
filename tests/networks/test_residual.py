"""Residual networks: any size and aspect, cost, groups of a batch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.grouped_batch_norm import groups_of_batch
from convergan.networks.interface import Discriminator
from convergan.recipes.networks import ResidualSettings

SMALL = ResidualSettings(width=4, generator_width=16, latent_size=5)

SHAPES = [
    (1, 8, 8), (3, 9, 9), (1, 17, 17), (1, 28, 28), (3, 32, 32), (3, 33, 33), (1, 64, 64),
    (3, 100, 60), (3, 32, 96), (3, 256, 256), (1, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_and_aspect(shape: tuple[int, int, int]) -> None:
    discriminator, generator = build_discriminator(SMALL, shape, 7), build_generator(SMALL, shape)
    images = generator(generator.latent(3, "cpu"))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    output = discriminator(images, [1, 2])
    assert output.logits.shape == (3, 7)
    assert output.features.shape == (3, 4 * SMALL.width)
    (output.logits.sum() + output.features.square().sum()).backward()
    assert all(weight.grad is not None for weight in generator.parameters())


@pytest.mark.parametrize("px", [8, 16, 28, 32, 33, 64, 100, 128, 256])
def test_large_images_are_made_small_at_once(px: int) -> None:
    discriminator = build_discriminator(SMALL, (3, px, px), 2)
    maps: list[int] = []
    for layer in discriminator.layers:
        layer.register_forward_hook(lambda _, __, output: maps.append(output.shape[-1]))
    discriminator(torch.zeros(2, 3, px, px))
    assert maps[0] == {64: 32, 100: 25, 128: 32, 256: 32}.get(px, px)
    smallest = maps[0] if maps[0] < 4 else max(2, -(-maps[0] // 8))
    assert maps[-1] == smallest


def test_any_number_of_classes_starts_between_real_and_generated() -> None:
    for classes in (1, 2, 1000):
        network = build_discriminator(SMALL, (1, 16, 16), classes)
        logits = network(torch.randn(4, 1, 16, 16)).logits
        assert logits.shape == (4, classes)
        assert torch.logsumexp(logits, 1).abs().max() < 0.5


def test_the_cost_hardly_grows_with_the_size() -> None:
    """Multiplications of a forward and a backward pass."""

    def cost(px: int) -> int:
        network = build_discriminator(ResidualSettings(), (3, px, px), 10)
        images = torch.zeros(2, 3, px, px)
        with FlopCounterMode(display=False) as counter:
            network(images).logits.sum().backward()
        return counter.get_total_flops()

    assert max(cost(px) for px in (64, 128, 256)) < 2 * cost(32)


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_images_depend_on_no_others_in_evaluation(normalization: str) -> None:
    settings = ResidualSettings(width=6, normalization=normalization)  # type: ignore[arg-type]
    network = build_discriminator(settings, (3, 16, 16), 3).eval()
    images = torch.randn(5, 3, 16, 16)
    logits, alone = network(images).logits, network(images[:1]).logits
    torch.testing.assert_close(logits[:1], alone)


def test_strong_and_generated_images_leave_evaluation_as_it_is() -> None:
    """An evaluated network agrees with one that has seen the weak groups alone."""
    torch.manual_seed(0)
    mixed, weak_alone = (build_discriminator(SMALL, (3, 16, 16), 3) for _ in range(2))
    weak_alone.load_state_dict(mixed.state_dict())
    spoilt = build_discriminator(SMALL, (3, 16, 16), 3)
    spoilt.load_state_dict(mixed.state_dict())
    with torch.no_grad():
        for _ in range(30):
            weak = torch.randn(8, 3, 16, 16)
            strong = 4 * torch.randn(8, 3, 16, 16) + 2
            batch = torch.cat([weak, strong])
            with groups_of_batch(mixed, [8, 8], running=[0]):
                logits = mixed(batch).logits
            torch.testing.assert_close(logits[:8], weak_alone(weak).logits)
            spoilt(batch)
    images = torch.randn(6, 3, 16, 16)

    def evaluated(network: Discriminator) -> torch.Tensor:
        return network.eval()(images).features.detach()

    torch.testing.assert_close(evaluated(mixed), evaluated(weak_alone))
    assert (evaluated(spoilt) - evaluated(weak_alone)).abs().max() > 0.1


def test_dropout_leaves_the_features() -> None:
    network = build_discriminator(
        ResidualSettings(width=4, dropout=0.5, normalization="group"), (1, 8, 8), 2
    )
    images = torch.randn(4, 1, 8, 8)
    first, second = network(images), network(images)
    assert torch.equal(first.features, second.features)
    network.output.weight.data.normal_()
    assert not torch.equal(network(images).logits, network(images).logits)


def test_maps_have_their_channels_last() -> None:
    network = build_discriminator(SMALL, (3, 16, 16), 2)
    weight = network.layers[0][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
