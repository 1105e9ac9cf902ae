"""Residual networks and networks of one's own in a training: resumed bit for bit, saved and loaded."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.recipes.files import read_recipe, recipe_sha256
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, ModuleSettings, Recipe, ResidualSettings
from convergan.runs.model import load_classifier
from convergan.runs.tensor_files import load_tensors
from convergan.training import run as run_module
from convergan.training.run import RunOptions, train
from convergan.training.signals import Interrupted


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


def for_shape(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Tiny(classes, image_shape[0])


RESIDUAL = replace(
    PRESETS["folder"],
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


def weights(run: Path) -> dict[str, torch.Tensor]:
    named = {}
    for name in ("classifier", "generator"):
        tensors, _ = load_tensors(run / "model" / f"{name}.safetensors")
        named.update({f"{name}.{key}": tensor for key, tensor in tensors.items()})
    return named


@pytest.mark.parametrize("own", [{}, {"network": for_shape, "features": "layer1"}])
def test_resumed_bit_for_bit(
    own: dict[str, Any],
    data: DataSet,
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(RESIDUAL, tmp_path / "whole", data=data, console=quiet, **own)
    asked = itertools.count()
    options = run_module.LoopOptions
    with monkeypatch.context() as patch:
        patch.setattr(
            run_module,
            "LoopOptions",
            lambda **values: options(**{**values, "stop_requested": lambda: next(asked) >= 4}),
        )
        with pytest.raises(Interrupted):
            train(RESIDUAL, tmp_path / "resumed", data=data, console=quiet, **own)
    train(
        RESIDUAL,
        tmp_path / "resumed",
        data=data,
        console=quiet,
        options=RunOptions(resume=True),
        **own,
    )
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


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
    wrong = predictions.labels != data.test.labels_for_report()  # type: ignore[union-attr]
    assert wrong.sum() == results.test_errors
    output = classifier(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert output.features.shape == (10, 8)
    with pytest.raises(
        UserError, match=r"trained with, .*Tiny; pass load_classifier\(run, network="
    ):
        predict(run, images)


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ({"network": Tiny()}, "network: expected a class or a function"),
        ({"network": 3}, "network: expected a class or a function"),
        ({"features": "fc"}, "features: expected nothing without a network"),
        ({"network": Tiny, "features": "layer2"}, "perhaps layer1, got 'layer2'"),
        ({"network": Tiny, "features": 3}, "features: expected the name of a layer, got 3"),
        ({"network": lambda: 3}, "network: expected what makes an nn.Module, got 3"),
        (
            {"network": lambda: Tiny(5)},
            r"network: expected logits \[2, 2\] of 2 images, got \[2, 5\]",
        ),
        (
            {"network": lambda: Tiny(2, 1)},
            r"network: expected one that takes images \[batch, 3, 10, 12\]",
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
