"""Residual networks and networks of one's own in a training: resumed bit for bit, saved and loaded."""

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.data.splits import draw_split
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.networks.build import build_discriminator
from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.module import require_module, with_module
from convergan.recipes.files import read_recipe, recipe_sha256
from convergan.recipes.networks import ModuleSettings, ResidualSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, OptimizerSettings, Recipe
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.model import load_classifier
from convergan.training.checkpointing import Interrupted, LoopOptions
from convergan.training.loop import fit
from convergan.training.player import Player
from convergan.training.run import rehearse, train
from support import equal_states


class Tiny(nn.Module):
    """A small network in torchvision's manner."""

    def __init__(self, classes: int = 2, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.layer1(self.relu(self.bn1(self.conv1(images))))
        return self.fc(maps.mean(dim=(2, 3)))


class Transposed(nn.Module):
    """A network with a layer that puts the images of a batch last."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.transposed = nn.Identity()
        self.fc = nn.LazyLinear(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.transposed(self.flat(images).T).T)


def for_shape(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Tiny(classes, image_shape[0])


RESIDUAL = replace(
    PRESETS["digits"],
    labels=20,
    epochs=2,
    batch_size=8,
    min_steps_per_epoch=4,
    networks=ResidualSettings(width=4, generator_width=8, latent_size=5),
    hardware=HardwareSettings(accelerator="cpu", threads=1),
)


@pytest.fixture(scope="module")
def data() -> DataSet:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(2), 20)
    images = rng.integers(0, 128, (40, 10, 12, 3), dtype=np.uint8)
    images[labels == 1] += 100
    return data_set_from_arrays(images, labels, test_images=images[:10], test_labels=labels[:10])


@pytest.mark.parametrize("own", [{}, {"network": for_shape, "features": "layer1"}])
def test_resumed_bit_for_bit(own: dict[str, Any], data: DataSet, tmp_path: Path) -> None:
    """The moments of weights that lie channels last, too, belong to the same weights again."""
    recipe = with_module(RESIDUAL, own.get("network"), own.get("features"))
    training = draw_split(data, labels=20, seed=0).training

    def fitted(folder: Path, stop_requested: Any = lambda: False) -> dict[str, Any]:
        options = LoopOptions(checkpoint_every_seconds=1e6, stop_requested=stop_requested)
        fit(torch.device("cpu"), recipe, training, checkpoints=folder, options=options)
        state = load_newest_checkpoint(folder).state  # type: ignore[union-attr]
        return {name: part for name, part in state.items() if name != "train_seconds"}

    requests = itertools.count()
    with pytest.raises(Interrupted):
        fitted(tmp_path / "stopped", lambda: next(requests) >= 2)
    assert equal_states(fitted(tmp_path / "stopped"), fitted(tmp_path / "whole"))


def test_a_network_of_ones_own(data: DataSet, quiet: Console, tmp_path: Path) -> None:
    run = tmp_path / "run"
    results = train(RESIDUAL, run, data=data, network=Tiny, console=quiet)
    assert results.baseline_test_errors is not None
    recipe = read_recipe(run / "recipe.yaml")
    assert isinstance(recipe.networks, ModuleSettings)
    assert recipe.networks.module.endswith("test_own_network.Tiny")
    assert recipe.networks.factory is None
    assert (recipe.networks.generator_width, recipe.networks.latent_size) == (8, 5)
    assert recipe_sha256(recipe) == recipe_sha256(
        replace(recipe, networks=replace(recipe.networks, factory=Tiny))
    )
    classifier = load_classifier(run, network=Tiny)
    images = data.test.images[np.arange(10)]  # type: ignore[union-attr]
    predictions = predict(classifier, images)
    wrong = predictions.labels != data.test.labels  # type: ignore[union-attr]
    assert wrong.sum() == results.test_errors
    output = classifier(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert output.features.shape == (10, 8)
    with pytest.raises(
        UserError, match=r"Tiny, with which it was trained; pass load_classifier\(run, network="
    ):
        predict(run, images)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ({"network": Tiny()}, "network: expected a class or a function"),
        ({"network": 3}, "network: expected a class or a function"),
        ({"features": "fc"}, "features: expected nothing without a network"),
        ({"network": Tiny, "features": "layer2"}, r"perhaps layer1\S*, got 'layer2'"),
        ({"network": Tiny, "features": 3}, "features: expected the name of a layer, got 3"),
        (
            {"network": lambda: 3},
            "network: expected a function that returns an nn.Module, got one that returns 3",
        ),
        (
            {"network": lambda: Tiny(5)},
            r"network: expected logits \[2, 2\] of 2 images, got \[2, 5\]",
        ),
        (
            {"network": lambda: Tiny(2, 1)},
            r"network: expected a network that takes images \[batch, 3, 10, 12\].* which raises ",
        ),
        (
            {"network": Transposed, "features": "transposed"},
            r"features: expected a layer whose output has a row for each of 2 images, got \[\d+, 2\]",
        ),
        ({"network": lambda: nn.Flatten()}, "features: expected the name of a layer, as"),
    ],
)
def test_errors_name_the_argument(
    own: dict[str, Any], problem: str, data: DataSet, quiet: Console, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        train(RESIDUAL, tmp_path / "run", data=data, console=quiet, **own)
    assert "\n" not in str(caught.value)


def test_a_recipe_alone_does_not_make_the_network(data: DataSet, tmp_path: Path) -> None:
    recipe: Recipe = replace(RESIDUAL, networks=ModuleSettings(module="mine.Net"))
    with pytest.raises(UserError, match=r"expected the network itself, mine\.Net"):
        train(recipe, tmp_path / "run", data=data)


def test_only_unlabelled_images_of_the_discriminators_step_move_running_statistics(
    data: DataSet, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[int] = []
    forward = nn.BatchNorm2d.forward

    def note(norm: nn.BatchNorm2d, inputs: torch.Tensor) -> torch.Tensor:
        mean = norm.running_mean.clone()  # type: ignore[union-attr]
        outputs = forward(norm, inputs)
        if isinstance(inputs, FakeTensor):
            # A pass of the estimate of what training takes.
            return outputs
        if norm.training and not torch.equal(mean, norm.running_mean):  # type: ignore[arg-type]
            moves.append(len(inputs))
        return outputs

    recipe = replace(
        RESIDUAL,
        epochs=1,
        batch_size=4,
        unlabelled_batch_size=8,
        generated_batch_size=6,
        min_steps_per_epoch=5,
        baseline=False,
    )
    monkeypatch.setattr(nn.BatchNorm2d, "forward", note)
    train(recipe, tmp_path / "run", data=data, network=Tiny, console=quiet)
    # By two normalizations in each of five steps.
    assert moves == [8] * 10


def test_the_averages_running_statistics_are_averaged_as_its_weights() -> None:
    network = build_discriminator(ResidualSettings(width=4), (1, 8, 8), 2)
    player = Player(
        torch.device("cpu"),
        network,
        # With this horizon and rate averages are plain means over all steps.
        OptimizerSettings(averaging_horizon=1.0, averaging_rate=1e-9),
        HardwareSettings(),
        with_ema=True,
        with_history=False,
    )
    norm, averaged = (
        next(layer for layer in model.modules() if isinstance(layer, GroupedBatchNorm)).norm
        for model in (network, player.tested)
    )
    for statistic in (1.0, 2.0, 6.0):
        player.optimizer.zero_grad()
        norm.running_mean.fill_(statistic)
        norm.weight.data.fill_(statistic)
        player.move(0.0)
    torch.testing.assert_close(averaged.weight.detach(), torch.full((2,), 3.0))
    torch.testing.assert_close(averaged.running_mean, torch.full((2,), 3.0))


def test_a_factory_that_gives_one_network_again_and_again_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UserError, match="network: expected a new network at each call"):
        require_module(ModuleSettings(module="mine", factory=lambda: network), (1, 8, 8), 10)


class Choosy(nn.Module):
    """A network for colour images of 12x16 px alone, whose course depends on the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 12 * 16, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if float(images.detach().mean()) > 2:
            raise ValueError("too bright")
        return self.fc(images.reshape(-1, 3 * 12 * 16))


class InTrainingAlone(Tiny):
    """A network that fails only where it is trained."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise ValueError("not today")
        return super().forward(images)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of colour images of 16x12 px."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for number in range(6):
            image = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_network_is_asked_about_no_images_but_the_real_ones(
    photographs: Path, quiet: Console, tmp_path: Path
) -> None:
    """Only decoding tells whether the images are grey."""
    settings = replace(
        RESIDUAL.data, source="folder", path=photographs, cache=tmp_path / "cache", folds=0
    )
    recipe = replace(RESIDUAL, labels=None, epochs=1, data=settings)
    console = Console(file=io.StringIO(), width=200)
    rehearse(recipe, network=Choosy, console=console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "memory: about" in output and "time: about" in output
    with pytest.raises(UserError, match="features: expected nothing without"):
        rehearse(recipe, features="fc", console=quiet)
    refused: dict[str, Any] = {
        ", which raises RuntimeError:": lambda: Tiny(2, 1),
        "InTrainingAlone, .*: not today": InTrainingAlone,
    }
    for end, network in refused.items():
        problem = rf"network: expected .* images \[batch, 3, 12, 16\], got .*{end}"
        with pytest.raises(UserError, match=problem) as caught:
            train(recipe, tmp_path / "run", network=network, console=quiet)
        assert "\n" not in str(caught.value)
