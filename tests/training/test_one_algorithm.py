"""Two ranks with half a batch each make the updates that one process makes with the whole batch."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.distributed
from torch import Tensor, nn

from convergan.data.training_data import TrainingData
from convergan.networks import layers
from convergan.networks.pixels import to_network
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.networks import ModuleSettings, ResidualSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import (
    ConditionalEntropySettings,
    ConsistencySettings,
    FeatureMatchingSettings,
    PullAwaySettings,
    RealOrGeneratedSettings,
)
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.training import batch, players
from convergan.training.loop import fit
from support import on_two_ranks

UPDATES = 20
MLP = {"hidden": (12, 10), "generator_hidden": (9, 8), "latent_size": 5}
CONV = {"width": 3, "generator_width": 8, "latent_size": 5, "reference_size": 4}
KERNELS = {"minibatch_kernels": 6, "minibatch_kernel_size": 3}
IMAGENET = {
    "width": 2,
    "dense_multiple": 4,
    "generator_width": 16,
    "latent_size": 6,
    "noise_maps": (2, 2, 1, 1, 1, 1),
    "reference_size": 4,
}
COMPOSED = replace(
    PRESETS["folder"].objective,
    consistency=ConsistencySettings(
        weight=1.0, threshold=0.9, adaptive_threshold=True, distribution_alignment=True, ramp=0.5
    ),
    real_or_generated=RealOrGeneratedSettings(weight=1.0),
    feature_matching=FeatureMatchingSettings(weight=1.0, distance="absolute"),
    conditional_entropy=ConditionalEntropySettings(weight=0.1),
    pull_away=PullAwaySettings(weight=0.1),
)


class OwnNetwork(nn.Sequential):
    """A network as a user may bring it: batch normalization, and dropout of numbers and of maps."""

    def __init__(self) -> None:
        dropout = nn.Dropout(0.3)
        super().__init__(
            nn.Conv2d(3, 4, 3, stride=2, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout2d(0.2),
            nn.Flatten(),
            dropout,
            nn.Linear(100, 8),
            nn.BatchNorm1d(8, momentum=None),
            nn.ReLU(),
            dropout,
            nn.Linear(8, 3),
        )


RESIDUAL = ResidualSettings(width=4, blocks=1, dropout=0.2, generator_width=8, latent_size=5)
OWN = ModuleSettings(
    module="OwnNetwork",
    factory=OwnNetwork,
    # Outputs of a dropout.
    features="5",
    generator_width=8,
    latent_size=5,
)


def variant(name: str, noise: Literal["auto", "fresh"] = "auto", **fields: Any) -> Recipe:
    """A recipe with small networks; `networks` may be a dict of fields that replace the recipe's own."""
    networks = fields.pop("networks")
    if isinstance(networks, dict):
        networks = replace(PRESETS[name].networks, **networks)
    return replace(
        PRESETS[name],
        minutes=None,
        batch_size=8,
        unlabelled_batch_size=None,
        epochs=2,
        steps=UPDATES,
        hardware=HardwareSettings(accelerator="cpu", precision="fp32", noise=noise),
        networks=networks,
        **fields,
    )


RECIPES: dict[str, tuple[Recipe, tuple[int, int, int]]] = {
    "mnist": (variant("mnist", networks=MLP), (5, 5, 1)),
    "mnist, batches of 100": (
        replace(variant("mnist", networks=MLP), batch_size=100),
        (5, 5, 1),
    ),
    "mnist-mb": (variant("mnist-mb", "fresh", networks=MLP | KERNELS), (5, 5, 1)),
    "cifar10": (variant("cifar10", networks=CONV | {"input_noise": 0.1}), (9, 9, 3)),
    "cifar10-samples": (variant("cifar10-samples", networks=CONV | KERNELS), (9, 9, 3)),
    "cifar10-samples-l-ha, averages of both players": (
        variant(
            "cifar10-samples-l-ha",
            networks=CONV | KERNELS,
            optimizer=replace(
                PRESETS["cifar10-samples-l-ha"].optimizer,
                averaging_start="zero",
                generator_averaging_rate=0.1,
            ),
        ),
        (9, 9, 3),
    ),
    "imagenet": (variant("imagenet", networks=IMAGENET | KERNELS), (32, 32, 3)),
    "folder, composed": (
        replace(
            variant("folder", networks=RESIDUAL, objective=COMPOSED),
            unlabelled_batch_size=12,
            generated_batch_size=10,
        ),
        (10, 10, 3),
    ),
    "own network": (
        variant(
            "folder",
            networks=OWN,
            augmentation=AugmentationSettings(kind="none"),
            objective=replace(COMPOSED, consistency=ConsistencySettings(weight=0.0)),
        ),
        (11, 11, 3),
    ),
}


@contextmanager
def float64() -> Iterator[None]:
    """Make networks and images float64, and split small batches into several blocks."""

    def to_double(pixels: Tensor, pixel_range: tuple[float, float]) -> Tensor:
        return to_network(pixels, pixel_range).double()

    torch.set_default_dtype(torch.float64)
    try:
        with (
            patch.object(batch, "to_network", to_double),
            patch.object(players, "to_network", to_double),
            patch.object(layers, "LARGEST_MAPS_BYTES", 3 * 9 * 9 * 8 * 5),
        ):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def train(name: str, folder: Path) -> None:
    """Make the updates of a recipe; their outcome is in the last checkpoint."""
    recipe, shape = RECIPES[name]
    count = 3 * recipe.batch_size
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    # Classes differ, and so do the halves of a batch.
    pixels[::3] //= 2
    data = TrainingData(
        images=pixels,
        labelled=np.arange(12),
        labels=np.arange(12) % 3,
        unlabelled=np.arange(count),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )
    with float64():
        fit(torch.device("cpu"), recipe, data, checkpoints=folder)


def train_all(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    for name in RECIPES:
        train(name, Path(folder, name))
    torch.distributed.destroy_process_group()


def state_in(folder: Path) -> dict[str, Any]:
    newest = load_newest_checkpoint(folder)
    assert newest is not None
    # Losses are added up in float32.
    excluded = ("train_seconds", "epoch_sums")
    return {key: value for key, value in newest.state.items() if key not in excluded}


def largest_difference(first: Any, second: Any) -> float:
    """The largest difference between the numbers of two nested states, relative to 1 or to the larger."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        return max((largest_difference(first[key], second[key]) for key in first), default=0.0)
    if isinstance(first, list):
        assert len(first) == len(second)
        return max(map(largest_difference, first, second), default=0.0)
    if isinstance(first, Tensor):
        assert first.shape == second.shape and first.dtype == second.dtype
        if not first.numel():
            return 0.0
        first, second = first.double(), second.double()
        return finite(float(((first - second).abs() / first.abs().clamp(min=1)).max()))
    if isinstance(first, float):
        equal = str(first) == str(second)
        return 0.0 if equal else finite(abs(first - second))
    return float(first != second)


def finite(difference: float) -> float:
    """The difference, with infinity, which `max` does not pass over, in place of NaN."""
    return difference if math.isfinite(difference) else math.inf


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.tensor([0.0, 1.0]), torch.tensor([0.0, math.nan])),
        (torch.tensor([math.nan]), torch.tensor([1.0])),
        (torch.tensor([math.inf]), torch.tensor([math.inf])),
        (1.0, math.nan),
        (math.inf, 1.0),
    ],
)
def test_a_number_that_is_none_is_no_small_difference(first: Any, second: Any) -> None:
    lists = [0.0, first], [0.0, second]
    assert largest_difference({"a": lists[0]}, {"a": lists[1]}) == math.inf


@pytest.fixture(scope="module")
def two_rank_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of two ranks, by name of the recipe."""
    folder = tmp_path_factory.mktemp("two")
    on_two_ranks(train_all, str(folder))
    return folder


@pytest.mark.xdist_group("two ranks")
@pytest.mark.parametrize("name", RECIPES)
def test_two_ranks_make_the_updates_of_one_process(
    name: str, two_rank_folder: Path, tmp_path: Path
) -> None:
    """Weights, averages, running statistics, optimizers, what terms remember, random streams."""
    train(name, tmp_path / "one")
    state = state_in(tmp_path / "one")
    assert state["step"] == UPDATES
    assert largest_difference(state, state_in(two_rank_folder / name)) < 1e-8
