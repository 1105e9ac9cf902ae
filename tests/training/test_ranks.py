"""Several ranks compute what one would on the whole batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from convergan.runs.metrics import read_metrics
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.training.collectives import gather_from_ranks, mean_over_ranks, sum_over_ranks

WEIGHT = torch.arange(12, dtype=torch.float64).view(4, 3) / 10
REAL = torch.linspace(-1, 1, 32, dtype=torch.float64).view(8, 4).sin()
GENERATED = torch.linspace(0, 2, 32, dtype=torch.float64).view(8, 4).cos()


def gradient_on(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    weight = WEIGHT.clone().requires_grad_()
    rows = slice(4 * rank, 4 * rank + 4)
    loss = feature_matching_loss(
        mean_over_ranks(REAL[rows] @ weight), mean_over_ranks((GENERATED[rows] @ weight).sin())
    )
    loss.backward()
    assert weight.grad is not None
    # What data-parallel training does with the gradients of its ranks.
    gradient = sum_over_ranks(weight.grad) / 2
    gathered = gather_from_ranks(torch.tensor([rank]))
    torch.save((loss.detach(), gradient, torch.cat(gathered)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_feature_matching_over_two_ranks_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(gradient_on, args=(str(tmp_path),), nprocs=2)
    weight = WEIGHT.clone().requires_grad_()
    loss = feature_matching_loss(REAL @ weight, (GENERATED @ weight).sin())
    loss.backward()
    for rank in range(2):
        other_loss, gradient, ranks = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(other_loss, loss.detach())
        torch.testing.assert_close(gradient, weight.grad)
        assert ranks.tolist() == [0, 1]


def test_two_processes_train_one_run(trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    command = [
        sys.executable, "-m", "convergan.cli", "train", "--from", str(trained_run / "recipe.yaml"),
        "--epochs", "2", "--hardware.devices", "2", "--hardware.accelerator", "cpu", "--out", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(read_metrics(out / "metrics.jsonl")) == 2
    assert json.loads((out / "manifest.json").read_text())["processes"] == 2
    first_loss = read_metrics(trained_run / "metrics.jsonl")[0]["losses"]
    loss = read_metrics(out / "metrics.jsonl")[0]["losses"]
    # Other noise on each rank, but the same game.
    assert loss["discriminator/supervised"] == pytest.approx(
        first_loss["discriminator/supervised"], rel=0.2
    )
