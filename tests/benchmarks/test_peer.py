"""The peers compute the same as the recipes, and learn; floors are counted correctly; comparisons finish."""

from dataclasses import replace
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convergan.data.batches import epoch_order
from convergan.data.source import open_data_set
from convergan.data.training_data import TrainingData
from convergan.networks.build import build_discriminator, build_generator
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, Recipe
from convergan.techniques.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    initialize_from_data,
)
from convergan.training import loop
from convergan.training.checkpointing import LoopOptions
from convergan.training.launch import choose_device
from convergan.training.observer import Silent
from convergan.training.preparation import prepare
from convergan.training.state import TrainingState
from epoch import compare_epochs
from harness import epochs_in_turn
from harness.epochs_in_turn import PeersEpochs
from harness.equal_terms import without_baseline
from harness.kept_epochs import KeptEpochs
from harness.measure import Enough
from harness.operations import step_operations
from harness.peers import cifar10 as peer_cifar10
from harness.peers import mnist as peer_mnist
from harness.peers.mnist import (
    ParquetImages,
    Peer,
    evaluation_loader,
    labelled_images,
    training_loader,
)
from parquet_images import write_parquet
from small_mnist import NETWORKS, dense_peer
from step import compare_steps, random_images
from support import FORMER

DENSE, CONV = (1, 8, 8), (3, 32, 32)


@pytest.fixture
def dense_recipe() -> Recipe:
    """`mnist` with the networks of `dense_peer`, for digits."""
    return replace(PRESETS["mnist"], networks=NETWORKS)


@pytest.fixture
def conv_recipe() -> Recipe:
    """`cifar10` with the networks of `conv_peer`, and torch's Adam and epsilons, which the peer has."""
    networks = ConvSettings(width=4, generator_width=16, latent_size=20)
    return replace(FORMER["cifar10"], networks=networks, labels=20, batch_size=10)


def conv_peer() -> Peer:
    return Peer(
        peer_cifar10.Discriminator(width=4),
        peer_cifar10.Generator(width=16, latent_size=20),
        learning_rate=3e-4,
        distance=F.l1_loss,
        latent_size=20,
    )


def trained_shapes(*networks: nn.Module) -> list[tuple[int, ...]]:
    """Shapes of all trained weights, gains (which the peer keeps as columns) as vectors, sorted."""
    weights = chain(*(network.parameters() for network in networks))
    return sorted(tuple(w.squeeze().shape) for w in weights if w.requires_grad)


@pytest.mark.parametrize(
    ("name", "shape", "make_peer"),
    [("mnist", (1, 28, 28), Peer), ("cifar10", CONV, peer_cifar10.cifar10_peer)],
)
def test_the_peer_trains_the_weights_that_the_recipe_trains(
    name: str, shape: tuple[int, int, int], make_peer: type[Peer]
) -> None:
    settings = PRESETS[name].networks
    with torch.device("meta"):
        networks = build_discriminator(settings, shape, 10), build_generator(settings, shape)
    peer = make_peer()
    assert trained_shapes(peer.discriminator, peer.generator) == trained_shapes(*networks)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_the_peer_computes_what_the_recipe_computes(
    kind: str, dense_recipe: Recipe, conv_recipe: Recipe
) -> None:
    recipe, peer, shape = {
        "dense": (dense_recipe, dense_peer(), DENSE),
        "conv": (conv_recipe, conv_peer(), CONV),
    }[kind]
    discriminator = build_discriminator(recipe.networks, shape, 10).eval()
    generator = build_generator(recipe.networks, shape).eval()
    take_weights(peer.discriminator.eval(), discriminator)
    take_weights(peer.generator.eval(), generator)
    latent = torch.rand(5, 20)
    generated = generator(latent)
    torch.testing.assert_close(peer.generator(latent).view_as(generated), generated)
    torch.testing.assert_close(peer.discriminator(generated), tuple(discriminator(generated)))


def test_the_peer_is_initialized_as_the_recipe_is(dense_recipe: Recipe) -> None:
    settings = replace(dense_recipe.networks, input_noise=0.0, hidden_noise=0.0)
    discriminator = build_discriminator(settings, DENSE, 10)
    peer = dense_peer()
    for layer in peer.discriminator.modules():
        if isinstance(layer, peer_mnist.GaussianNoise):
            layer.stdev = 0.0
    take_weights(peer.discriminator, discriminator)
    images = torch.rand(50, *DENSE)
    initialize_from_data(discriminator, images)
    for _ in range(2):
        # The second time there is nothing left to do.
        peer.initialize(images)
        expected = tuple(discriminator.eval()(images))
        for network in (peer.discriminator, peer.ema):
            torch.testing.assert_close(network.eval()(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_the_loop_takes_the_steps_that_the_peer_takes(
    kind: str,
    bf16_units: bool,
    dense_recipe: Recipe,
    conv_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Train without noise, with the same weights, latents and batches: the loop must compute the same."""
    recipe, peer, data = {
        "dense": (dense_recipe, dense_peer(), open_data_set(DataSettings(source="digits"))),
        "conv": (conv_recipe, conv_peer(), random_images(40)),
    }[kind]
    noises = [name for name in vars(recipe.networks) if name.endswith(("_noise", "_dropout"))]
    networks: Any = replace(
        recipe.networks, data_dependent_initialization=False, **dict.fromkeys(noises, 0.0)
    )
    # Over a horizon of all steps the average is the mean of the weights after each of them.
    optimizer = replace(recipe.optimizer, averaging_horizon=1.0)
    # The peer computes in fp32, and so does the loop then, whatever the CPU has units for.
    hardware = replace(recipe.hardware, precision="32-true")
    recipe = replace(
        recipe, networks=networks, optimizer=optimizer, hardware=hardware, baseline=False
    )
    for layer in peer.discriminator.modules():
        if isinstance(layer, peer_mnist.GaussianNoise):
            layer.stdev = 0.0
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    training_data = prepare(recipe, data, processes=1).split.training

    steps = 3
    state, latents = fit_few_steps(recipe, training_data, peer, steps, tmp_path, monkeypatch)
    monkeypatch.setattr(peer, "_latent", lambda _: latents.pop(0))
    trace = []
    for step in range(steps):
        peer.step(*batches_of_step(recipe, training_data, step))
        trace.append([weight.detach().clone() for weight in peer.discriminator.parameters()])
    assert not latents
    require_equal(state.players["discriminator"].network, peer.discriminator)
    require_equal(state.players["generator"].network, peer.generator)
    with torch.no_grad():
        for weight, *copies in zip(peer.discriminator.parameters(), *trace, strict=True):
            weight.copy_(torch.stack(copies).mean(dim=0))
    require_equal(state.players["discriminator"].tested, peer.discriminator)


def fit_few_steps(
    recipe: Recipe,
    data: TrainingData,
    peer: Peer,
    steps: int,
    checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[TrainingState, list[torch.Tensor]]:
    """Give the peer our weights, then trains; return the state and the latents that were drawn."""
    states: list[TrainingState] = []
    latents: list[torch.Tensor] = []

    def state_of(*arguments: Any) -> TrainingState:
        states.append(TrainingState(*arguments))
        generator = states[0].players["generator"].network
        take_weights(peer.discriminator, states[0].players["discriminator"].network)
        take_weights(peer.generator, generator)
        draw = generator.latent

        def record_latent(*latent_arguments: Any) -> torch.Tensor:
            latents.append(draw(*latent_arguments))
            return latents[-1]

        monkeypatch.setattr(generator, "latent", record_latent)
        return states[0]

    class FewSteps(Silent):
        def steps_done(self, done: int, total: int) -> None:
            if done == steps:
                raise Enough

    monkeypatch.setattr(loop, "TrainingState", state_of)
    with pytest.raises(Enough):
        loop.fit(
            choose_device(recipe.hardware),
            recipe,
            data,
            checkpoints=checkpoints,
            observer=FewSteps(),
            options=LoopOptions(),
        )
    return states[0], latents


def batches_of_step(recipe: Recipe, data: TrainingData, step: int) -> tuple[torch.Tensor, ...]:
    """Labelled images, labels, unlabelled images and images to match of a step in seed 0's first epoch."""

    def rows(stream: str, indices: np.ndarray) -> np.ndarray:
        count = ceil(len(data.unlabelled) / recipe.batch_size)
        size = recipe.batch_size
        return epoch_order(indices, steps=count, batch_size=size, seed=0, epoch=0, stream=stream)[
            step
        ]

    low = -1 if isinstance(recipe.networks, ConvSettings) else 0
    labelled = rows("labelled", data.labelled)
    images = (
        torch.from_numpy(data.images[indices]).permute(0, 3, 1, 2) * ((1 - low) / 255) + low
        for indices in (
            labelled,
            rows("unlabelled", data.unlabelled),
            rows("matched", data.unlabelled),
        )
    )
    labels = torch.from_numpy(data.labels[np.searchsorted(data.labelled, labelled)])
    first, *unlabelled = images
    return first, labels, *unlabelled


def require_equal(network: nn.Module, peer: nn.Module) -> None:
    for tensor, peer_tensor in counterparts(network, peer):
        torch.testing.assert_close(tensor, peer_tensor.view_as(tensor), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def take_weights(peer: nn.Module, network: nn.Module) -> None:
    """Copies all weights, gains and biases."""
    for tensor, peer_tensor in counterparts(network, peer):
        peer_tensor.copy_(tensor.view_as(peer_tensor))


def counterparts(network: nn.Module, peer: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of our and the peer's weights or directions, gains (of another shape in the peer) and biases."""
    layers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    normalized = (WeightNormLinear, WeightNormConv2d, WeightNormConvTranspose2d)
    peer_layers = [layer for layer in peer.modules() if isinstance(layer, layers)]
    network_layers = [
        layer for layer in network.modules() if isinstance(layer, (*layers, *normalized))
    ]
    pairs = []
    for layer, peer_layer in zip(network_layers, peer_layers, strict=True):
        names = {"weight": "weight", "bias": "bias"}
        if isinstance(layer, normalized):
            names["weight"] = "parametrizations.weight.original1"
            names["gain"] = "parametrizations.weight.original0"
        values = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
        pairs += [
            (values[name], peer_layer.get_parameter(peer_name))
            for name, peer_name in names.items()
            if name in values
        ]
    return pairs


def test_the_peer_has_the_settings_of_the_recipe() -> None:
    for name, peer in (("mnist", Peer()), ("cifar10", peer_cifar10.cifar10_peer())):
        # PyTorch has no Adam with the epsilon inside the root, so `cifar10` is the former recipe.
        settings = (PRESETS | FORMER)[name].optimizer
        for optimizer in (peer.discriminator_optimizer, peer.generator_optimizer):
            group = optimizer.param_groups[0]
            assert group["lr"] == settings.learning_rate
            assert group["betas"] == (settings.beta1, settings.beta2)
            assert group["eps"] == settings.epsilon


def test_the_peer_learns(digits_folder: Path) -> None:
    torch.manual_seed(0)
    images = ParquetImages(digits_folder, "train")
    labelled = labelled_images(images, range(100))
    peer = dense_peer()
    fixed = {
        name: weight.clone()
        for name, weight in peer.discriminator.named_parameters()
        if not weight.requires_grad
    }
    unlabelled, matched = (training_loader(images) for _ in range(2))
    losses = [peer.train_epoch(unlabelled, matched, *labelled) for _ in range(10)]
    assert torch.isfinite(torch.stack(losses)).all()
    assert losses[-1][0] < 0.5 * losses[0][0]
    test = evaluation_loader(ParquetImages(digits_folder, "test"))
    assert peer.test_errors(test) < 0.25 * len(test.dataset)  # type: ignore[arg-type]
    # The hidden layers' gains.
    assert len(fixed) == 2
    for name, weight in fixed.items():
        assert torch.equal(peer.discriminator.get_parameter(name), weight)


def test_dense_operations_are_those_of_a_step(dense_recipe: Recipe) -> None:
    peer, size = dense_peer(), dense_recipe.batch_size
    check_operations(dense_recipe, peer, torch.rand(size, *DENSE), features=40)
    # Of the paper's networks, in 10^9.
    step = step_operations(PRESETS["mnist"], (1, 28, 28), 10)
    assert sum(step) / 1e9 == pytest.approx(3.760, abs=0.001)


def test_operations_of_convolutions_are_those_of_a_step(conv_recipe: Recipe) -> None:
    images = torch.rand(conv_recipe.batch_size, *CONV)
    check_operations(conv_recipe, conv_peer(), images, features=8)


def check_operations(recipe: Recipe, peer: Peer, images: torch.Tensor, *, features: int) -> None:
    expected = step_operations(recipe, tuple(images.shape[1:]), 10)  # type: ignore[arg-type]
    labels = torch.arange(len(images)) % 10
    with FlopCounterMode(display=False) as discriminator:
        peer.discriminator_step(images, labels, images)
    with FlopCounterMode(display=False) as generator:
        peer.generator_step(images)
    assert discriminator.get_total_flops() == expected.generating + expected.discriminator
    # In the generator's step, where nobody asks for logits, the peer computes them all the same.
    logits = 2 * len(images) * 2 * features * 10
    assert generator.get_total_flops() == expected.generator + logits


def test_steps_are_compared(dense_recipe: Recipe) -> None:
    digits = open_data_set(DataSettings(source="digits"))
    require_floor_below(compare_steps(dense_recipe, digits, dense_peer, steps=3, warm_up=1))


def test_steps_of_convolutions_are_compared(
    conv_recipe: Recipe, in_this_process: None, bf16_units: bool
) -> None:
    images = random_images(40)
    compared = compare_steps(conv_recipe, images, conv_peer, steps=2, warm_up=1)
    require_floor_below(compared)
    # A row says what it was measured in.
    assert compared["precision"] == ("bf16-mixed" if bf16_units else "32-true")


def require_floor_below(compared: dict[str, Any]) -> None:
    """Check that each side has a time for each turn and that neither is faster than the arithmetic."""
    for side in ("ours", "peer"):
        assert len(compared["times"][side]) == compared["repeats"]
        assert 0 < compared["floor"] < min(compared["times"][side])


def test_epochs_are_compared(
    dense_recipe: Recipe,
    digits_folder: Path,
    in_this_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(epochs_in_turn, "WORKERS", (0,))
    compared = compare_epochs(dense_recipe, digits_folder, dense_peer, epochs=2)
    require_floor_below(compared)
    for side in ("ours", "peer"):
        assert len(compared[f"{side}_test_errors_by_epoch"]) == 2


def test_epochs_of_convolutions_are_compared(
    conv_recipe: Recipe, in_this_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(epochs_in_turn, "WORKERS", (0,))
    # The hub's own names of CIFAR-10's columns.
    images = np.random.default_rng(0).integers(0, 256, (2, 100, 32, 32, 3), dtype=np.uint8)
    for split, pixels in zip(("train", "test"), images, strict=True):
        write_parquet(tmp_path / f"{split}-0.parquet", pixels, np.arange(100) % 10, "img")
    compared = compare_epochs(conv_recipe, tmp_path, conv_peer, epochs=1)
    require_floor_below(compared)


def test_the_peers_images_are_in_the_networks_range(digits_folder: Path, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    write_parquet(tmp_path / "train-0.parquet", colours, np.arange(3), "img")
    image, label = ParquetImages(tmp_path, "train", (-1.0, 1.0))[2]
    expected = torch.from_numpy(colours[2]).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(image, expected)
    assert label == 2
    grey, _ = ParquetImages(digits_folder, "train")[0]
    assert grey.shape == DENSE and 0 <= grey.min() < grey.max() <= 1


def test_the_peer_continues_where_it_was_left(
    dense_recipe: Recipe, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    preparation = prepare(without_baseline(dense_recipe, digits_folder), None, processes=1)

    def trained(epochs: int, target_errors: float = 0) -> KeptEpochs:
        peer = PeersEpochs(dense_peer(), digits_folder, preparation, workers=0)
        kept_epochs = KeptEpochs(peer, tmp_path / "run")
        kept_epochs.train(epochs, target_errors)
        return kept_epochs

    first, second = trained(2), trained(3)
    assert (len(first.errors), len(second.errors)) == (2, 3)
    assert (second.errors[:2], second.seconds[:2]) == (first.errors, first.seconds)
    steps = [int(kept_epochs.peer.peer.ema.n_averaged) for kept_epochs in (first, second)]
    assert steps[1] == 1.5 * steps[0] > 0
    # A state that is good enough is trained no further.
    assert trained(4, target_errors=500).errors == second.errors
