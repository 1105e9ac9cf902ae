"""Generators by other settings: virtual batch normalization, samples by their batch, epsilons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.inference.sample import sample
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.interface import Generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.pixels import to_network, to_uint8
from convergan.recipes.networks import ConvSettings, MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, HardwareSettings, Recipe
from convergan.runs.model import load_generator
from convergan.scoring.run_images import draw
from convergan.techniques.virtual_batch_norm import VirtualBatchNorm1d, VirtualBatchNorm2d
from convergan.techniques.weight_norm import initialize_from_data
from convergan.training.run import train
from convergan.training.samples import fixed_samples

SHAPE = (3, 32, 32)
CONV = ConvSettings(width=4, generator_width=8, latent_size=6)
VIRTUAL = replace(CONV, generator_normalization="virtual", reference_size=5)
BY_BATCH = {
    "conv": replace(CONV, sample_batch=4),
    "mlp": MLPSettings(hidden=(9,), generator_hidden=(8, 7), latent_size=6, sample_batch=4),
}


def generator(settings: ConvSettings | MLPSettings, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return build_generator(settings, SHAPE)


@pytest.mark.parametrize("training", [True, False])
def test_with_a_reference_a_sample_does_not_depend_on_its_batch_mates(training: bool) -> None:
    virtual, joint = (generator(settings).train(training) for settings in (VIRTUAL, CONV))
    latent = virtual.latent(7, "cpu")
    images = virtual(latent)
    assert images.shape == (7, *SHAPE)
    torch.testing.assert_close(virtual(latent[2:5]), images[2:5])
    if training:
        assert not torch.allclose(joint(latent[2:5]), joint(latent)[2:5], atol=1e-3)


def test_virtual_batch_normalization_takes_the_place_of_each_batch_normalization() -> None:
    virtual, joint = generator(VIRTUAL), generator(CONV)
    kinds = (VirtualBatchNorm1d, VirtualBatchNorm2d)
    layers = [layer for layer in virtual.modules() if isinstance(layer, kinds)]
    assert len(layers) == sum(isinstance(layer, BatchNormWithoutGain) for layer in joint.modules())
    # And nothing else: as many weights of the same shapes.
    shapes = (sorted(w.shape for w in network.parameters()) for network in (virtual, joint))
    assert next(shapes) == next(shapes)
    assert "images.reference" in virtual.state_dict()
    assert not any(isinstance(layer, BatchNormWithoutGain) for layer in virtual.modules())


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 20, 33), (3, 64, 64)])
def test_virtual_batch_normalization_of_other_sizes(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = build_generator(VIRTUAL, shape)
    initialize_from_data(network, network.latent(20, "cpu"))
    images = network(network.latent(3, "cpu"))
    assert images.shape == (3, *shape)
    preactivations = torch.atanh(images.clamp(-0.999, 0.999))
    assert preactivations.std().item() == pytest.approx(0.1, rel=0.5)


@pytest.mark.parametrize("kind", BY_BATCH)
def test_samples_by_the_statistics_of_their_batch(kind: str) -> None:
    network = generator(BY_BATCH[kind])
    latent = network.latent(8, "cpu")
    trained = torch.cat([network.train()(rows) for rows in latent.split(4)])
    network.eval()
    torch.testing.assert_close(network(latent), trained)
    # Each row is normalized with those beside it, four at a time.
    mixed = latent[torch.tensor([4, 1, 2, 3, 0, 5, 6, 7])]
    assert not torch.allclose(network(mixed)[1:4], trained[1:4], atol=1e-5)
    assert not any("running" in name for name in network.state_dict())
    with pytest.raises(ValueError, match=r"one row alone in batches of 4, .*got 5 rows"):
        network(latent[:5])
    # The first samples do not depend on how many are drawn, but for the count.
    assert torch.equal(fixed_samples(network, 5, seed=0), fixed_samples(network, 8, seed=0)[:5])


def test_epsilons_reach_every_layer() -> None:
    settings = replace(CONV, normalization_epsilon=1e-6)
    judge = build_discriminator(settings, SHAPE, 4)
    maker = generator(settings)
    epsilons = [
        layer.eps
        for network in (judge, maker)
        for layer in network.modules()
        if hasattr(layer, "eps")
    ]
    assert epsilons == [1e-6] * (10 + 4)
    virtual = generator(replace(VIRTUAL, normalization_epsilon=1e-6))
    assert {layer.eps for layer in virtual.modules() if hasattr(layer, "eps")} == {1e-6}
    mlp = MLPSettings(generator_hidden=(8, 7), normalization_epsilon=1e-6)
    assert [layer.eps for layer in generator(mlp).modules() if hasattr(layer, "eps")] == [1e-6] * 3


def test_directions_start_from_the_authors_distributions() -> None:
    torch.manual_seed(0)
    judge = build_discriminator(ConvSettings(width=64), SHAPE, 10)
    assert judge.output.weight.std().item() == pytest.approx(0.05, rel=0.1)  # type: ignore[union-attr]
    glorot, normal = (
        generator(MLPSettings(generator_output=kind)).layers[-1].weight  # type: ignore[index]
        for kind in ("glorot", "normal")
    )
    bound = (6 / (500 + 3 * 32 * 32)) ** 0.5
    assert 0.99 * bound < glorot.abs().max() <= bound
    assert normal.std().item() == pytest.approx(0.1, rel=0.01)


def test_pixels_of_cifar10_are_the_authors() -> None:
    networks = PRESETS["cifar10"].networks
    with torch.device("meta"):
        pixel_range = build_discriminator(networks, SHAPE, 10).pixel_range
        assert build_generator(networks, SHAPE).pixel_range == pixel_range
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    pixels = to_network(levels, pixel_range)
    torch.testing.assert_close(pixels.flatten(), (torch.arange(256) - 127.5) / 128)
    assert torch.equal(to_uint8(pixels, pixel_range), levels)
    # Values of a generator above the range are white.
    assert to_uint8(torch.ones(1, 1, 1, 1), pixel_range).item() == 255


@pytest.fixture(scope="module")
def three_classes() -> DataSet:
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    return data_set_from_arrays(images[:18], labels[:18], images[18:], labels[18:])


@pytest.mark.parametrize("networks", [VIRTUAL, BY_BATCH["conv"]], ids=["virtual", "by batch"])
def test_a_run_draws_what_its_generator_made(
    networks: ConvSettings, tmp_path: Path, three_classes: DataSet, quiet: Console
) -> None:
    recipe = Recipe(
        name="x",
        epochs=1,
        batch_size=6,
        baseline=False,
        data=DataSettings(),
        networks=networks,
        hardware=HardwareSettings(accelerator="cpu", precision="fp32"),
    )
    train(recipe, tmp_path / "run", data=three_classes, console=quiet)
    five, eleven = (sample(tmp_path / "run", count, seed=3) for count in (5, 11))
    assert np.array_equal(five, eleven[:5])
    network = load_generator(tmp_path / "run")
    size = network.sample_batch or 256
    latent = network.latent(size, "cpu", torch.Generator().manual_seed(3))
    with torch.no_grad():
        images = to_uint8(network(latent), network.pixel_range).numpy()
    assert np.array_equal(next(draw(tmp_path / "run", size, seed=3)), images)
    assert np.array_equal(five[:4], images[:4])
