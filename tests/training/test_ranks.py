"""Several ranks compute what one would on the whole batch."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from rich.console import Console

from convergan.distributed import gather_from_ranks, mean_over_ranks, sum_over_ranks
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.training import run
from convergan.training.loop import Fitted
from support import equal_states

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
    torch.save((loss.detach(), gradient, torch.cat(gathered)), f"{folder}/gradient-{rank}.pt")
    torch.distributed.destroy_process_group()


def train_on(rank: int, port: int, recipe: Recipe, folder: str) -> None:
    """One of two processes as torchrun starts them; saves what this rank ended with."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0",
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip
    fitted = []
    original = run.fit

    def fit(*arguments: Any, **options: Any) -> Fitted:
        fitted.append(original(*arguments, **options))
        return fitted[-1]

    run.fit = fit  # type: ignore[assignment]
    run.train(recipe, Path(folder) / "run", console=Console(quiet=True))
    (result,) = fitted
    networks = (result.discriminator, result.generator, result.baseline)
    weights = [dict(network.named_parameters()) for network in networks if network is not None]
    torch.save(
        [{name: w.detach() for name, w in some.items()} for some in weights],
        f"{folder}/weights-{rank}.pt",
    )


def both_on(rank: int, port: int, recipe: Recipe, folder: str) -> None:
    gradient_on(rank, folder)
    train_on(rank, port, recipe, folder)


# Two processes take long to start: what they leave is looked at by several tests.
one_worker = pytest.mark.xdist_group("two ranks")


@pytest.fixture(scope="module")
def two_ranks(quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each of two ranks left: a gradient, and a run with the weights that it ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    recipe = replace(quick_recipe, epochs=2, hardware=HardwareSettings(accelerator="cpu"))
    torch.multiprocessing.spawn(both_on, args=(port, recipe, str(folder)), nprocs=2)
    return folder


@one_worker
def test_feature_matching_over_two_ranks_is_that_of_the_whole_batch(two_ranks: Path) -> None:
    weight = WEIGHT.clone().requires_grad_()
    loss = feature_matching_loss(REAL @ weight, (GENERATED @ weight).sin())
    loss.backward()
    for rank in range(2):
        other_loss, gradient, ranks = torch.load(
            two_ranks / f"gradient-{rank}.pt", weights_only=True
        )
        torch.testing.assert_close(other_loss, loss.detach())
        torch.testing.assert_close(gradient, weight.grad)
        assert ranks.tolist() == [0, 1]


@one_worker
def test_two_ranks_end_with_the_same_weights(two_ranks: Path) -> None:
    """Their images and noise differ: the weights are equal only if every gradient is shared."""
    first, second = (
        torch.load(two_ranks / f"weights-{rank}.pt", weights_only=True) for rank in range(2)
    )
    assert len(first) == 3
    assert equal_states(first, second)
    assert json.loads((two_ranks / "run" / "manifest.json").read_text())["processes"] == 2


def test_two_processes_from_the_command_line(trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    command = [
        sys.executable, "-m", "convergan.cli", "train", "--from", str(trained_run / "recipe.yaml"),
        "--epochs", "2", "--hardware.devices", "2", "--hardware.accelerator", "cpu", "--out", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(read_metrics(out / "metrics.jsonl")) == 2
    assert done.stdout.count("report: ") == 1
    # A mistake that rank 0 finds ends both, and is told once.
    again = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert again.returncode == 1
    assert again.stderr.count("expected a new or empty folder") == 1
    assert "Traceback" not in again.stderr
