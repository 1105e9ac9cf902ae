"""The benchmarks against the authors' code run at a small scale and write consistent rows."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mnist_paper
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from harness import rows
from parquet_images import write_parquet


@pytest.fixture(autouse=True)
def temporary_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    options = ["--data", data, "--epochs", 1, "--seeds", 1, "--threads", 1]
    rows = command(mnist_paper, monkeypatch, *options)
    assert [row["setting"].partition(" labels, ")[2] for row in rows] == [
        "seed 0, after epoch 2",
        "seed 1, after epoch 1",
    ]
    assert [row["precision"] for row in rows] == ["float64", "float32"]
