"""Every recipe and variant trains two epochs at reduced width, is tested, saved and sampled."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.inference.predict import predict
from convergan.inference.sample import sample
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.training.run import train

NARROW: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (30, 20), "generator_hidden": (20,), "latent_size": 10},
    "conv": {"width": 6, "generator_width": 16, "latent_size": 10},
    "imagenet": {
        **{"width": 4, "dense_multiple": 4, "generator_width": 16, "latent_size": 8},
        **{"noise_maps": (2, 2, 1, 1, 1, 1)},
    },
    "residual": {"width": 4, "generator_width": 8, "latent_size": 8},
}
SIDES = {"digits": 8, "mnist": 28, "mnist-paper": 28, "mnist-mb": 28, "mnist-fast": 28}
QUICK = ("mnist-paper", "cifar10-samples", "imagenet")


def narrow(name: str) -> Recipe:
    recipe = PRESETS[name]
    networks: Any = recipe.networks
    changes = NARROW[networks.kind]
    if getattr(networks, "minibatch_kernels", 0):
        changes = changes | {"minibatch_kernels": 6, "minibatch_kernel_size": 4}
    sizes = {
        size: 8
        for size in ("unlabelled_batch_size", "generated_batch_size")
        if getattr(recipe, size)
    }
    return replace(
        recipe,
        epochs=2,
        labels=12 if recipe.labels else None,
        batch_size=8,
        min_steps_per_epoch=2,
        steps=None,
        minutes=None,
        arms=(),
        networks=replace(networks, **changes),
        data=DataSettings(folds=0),
        **sizes,
    )


def images_of(name: str) -> DataSet:
    """Images whose class is their brightness."""
    side, channels = SIDES.get(name, 32), 1 if name in SIDES else 3
    generator = np.random.default_rng(0)
    labels = np.arange(36) % 3
    images = generator.integers(0, 90, (36, side, side, channels), dtype=np.uint8)
    images += (70 * labels).astype(np.uint8)[:, None, None, None]
    return data_set_from_arrays(images[:24], labels[:24], images[24:], labels[24:])


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in PRESETS],
)
def test_two_epochs(name: str, tmp_path: Path, quiet: Console) -> None:
    recipe, data = narrow(name), images_of(name)
    results = train(recipe, tmp_path / "run", data=data, console=quiet)
    epochs = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [line.epoch for line in epochs] == [1, 2]
    losses = [value for line in epochs for value in line.losses.values()]
    assert losses and np.isfinite(losses).all()
    if recipe.objective.is_supervised:
        assert results.test_size == 12
        assert predict(tmp_path / "run", data.test.images).probabilities.shape == (12, 3)
    if any(name.startswith("generator/") for name in epochs[0].losses):
        images = sample(tmp_path / "run", 3)
        assert images.shape == (3, *data.train.images.shape[1:])
        assert images.std() > 0
