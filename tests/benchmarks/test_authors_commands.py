"""The benchmarks of what is the authors': in small, they run and write rows that hold together."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import historical_averaging
import mnist_paper
import rows
from convergan.data.image_set import data_set_from_arrays
from convergan.recipes.networks import ConvSettings, MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.training.run import train
from parquet_images import write_parquet


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))


def command(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object
) -> list[dict[str, Any]]:
    monkeypatch.setattr(sys, "argv", [f"{benchmark.__name__}.py", *map(str, words)])
    benchmark.main()
    (path,) = rows.RESULTS.glob("*.json")
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def write_images(folder: Path, shape: tuple[int, int, int], column: str) -> Path:
    """Parquet files of images whose class is their brightness, 300 to train on and 50 to test on."""
    folder.mkdir()
    for split, count in (("train", 300), ("test", 50)):
        labels = np.arange(count) % 10
        generator = np.random.default_rng(len(split))
        images = generator.integers(0, 60, (count, *shape), dtype=np.uint8)
        images += (19 * labels).astype(np.uint8)[:, None, None, None]
        write_parquet(folder / f"{split}-00000-of-00001.parquet", images, labels, column)
    return folder


def test_mnist_paper_beside_the_re_implementation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = PRESETS["mnist-paper"]
    networks = replace(preset.networks, hidden=(20, 15), generator_hidden=(15, 10))  # type: ignore[call-arg]
    assert isinstance(networks, MLPSettings)
    monkeypatch.setitem(PRESETS, "mnist-paper", replace(preset, networks=networks, batch_size=30))
    data = write_images(tmp_path / "mnist", (28, 28, 1), "image")
    (row,) = command(
        mnist_paper,
        monkeypatch,
        "--data",
        data,
        "--epochs",
        2,
        "--dtype",
        "float64",
        "--threads",
        1,
    )
    assert row["ours_by_epoch"] == row["peer_by_epoch"] and len(row["ours_by_epoch"]) == 2
    assert 0 < max(row["relative_difference_by_epoch"]) < 1e-8
    assert (row["ours"], row["precision"]) == (row["ours_by_epoch"][-1], "float64")


@pytest.mark.slow
def test_weights_of_historical_averaging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Console
) -> None:
    preset = PRESETS["cifar10-samples-l-ha"]
    monkeypatch.setitem(PRESETS, preset.name, replace(preset, batch_size=10))
    data = write_images(tmp_path / "cifar10", (32, 32, 3), "img")
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(30) % 3
    classifier = Recipe(
        name="classifier",
        epochs=1,
        batch_size=10,
        baseline=False,
        networks=ConvSettings(width=2, generator_width=4),
    )
    scorer = data_set_from_arrays(images, labels, images, labels)
    train(classifier, tmp_path / "classifier", data=scorer, console=quiet)
    words = ["--data", data, "--classifier", tmp_path / "classifier", "--runs", tmp_path / "runs"]
    words += ["--weights", 0.1, "--seeds", 0, "--width", 2, "--steps", 2, "--count", 20]
    without, with_it = command(historical_averaging, monkeypatch, *words)
    assert without["ours"] == without["peer"] == with_it["peer"] >= 1
    assert with_it["setting"].endswith("weight 0.1; 20 samples")
    assert len(with_it["ours_by_seed"]) == 1
