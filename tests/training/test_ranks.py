"""Several ranks: terms over the whole batch, equal weights, errors that all are told."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from rich.console import Console
from torch import Tensor, nn

from convergan.distributed import gather_from_ranks, mean_over_ranks, ranks, sum_over_ranks
from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.networks.module import ModuleDiscriminator
from convergan.networks.over_ranks import take_whole_batches
from convergan.recipes.networks import ModuleSettings
from convergan.recipes.settings import HardwareSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import ConsistencySettings, PullAwaySettings
from convergan.runs.metrics import read_metrics
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.training import launch, run, trainer
from convergan.training.launch import from_rank_zero, launched, on_every_rank, on_rank_zero
from convergan.training.loop import Fitted
from convergan.training.player import Player
from convergan.training.preparation import Preparation
from convergan.training.terms.consistency import Consistency
from convergan.training.terms.pull_away import PullAway
from convergan.training.terms.term import TermContext, TermOutputs
from support import equal_states, on_two_ranks

WEIGHT = torch.arange(12, dtype=torch.float64).view(4, 3) / 10
REAL = torch.linspace(-1, 1, 32, dtype=torch.float64).view(8, 4).sin()
GENERATED = torch.linspace(0, 2, 32, dtype=torch.float64).view(8, 4).cos()


def terms_of(rows: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The mean value of terms that look at all ranks' rows, its gradient, and the terms' state."""
    weight = WEIGHT.clone().requires_grad_()
    views = [REAL[rows] @ weight, (GENERATED[rows] @ weight).sin(), GENERATED[rows] @ weight]
    groups = {
        name: DiscriminatorOutput(5 * view, view)
        for name, view in zip(("unlabelled", "strong", "generated"), views, strict=True)
    }
    settings = ConsistencySettings(
        weight=1.0, adaptive_threshold=True, distribution_alignment=True, momentum=0.5
    )
    terms = [Consistency(settings), PullAway(PullAwaySettings(weight=1.0))]
    context = TermContext(labels_of_class=(3, 2, 2), device=torch.device("cpu"))
    states = [term.begin(context) for term in terms]
    for _ in range(3):
        value = sum(sum(term.weighted_parts(TermOutputs(groups=groups)).values()) for term in terms)
    assert isinstance(value, Tensor) and states[0] is not None
    value.backward()
    assert weight.grad is not None
    mean, gradient = sum_over_ranks(value.detach()), sum_over_ranks(weight.grad)
    return mean / ranks(), gradient / ranks(), states[0].state_dict()


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
    torch.save(terms_of(rows), f"{folder}/terms-{rank}.pt")
    torch.save(buffers_after_a_step(REAL[rows, :3].float()), f"{folder}/buffers-{rank}.pt")
    gathered = gather_from_ranks(torch.tensor([rank]))
    torch.save((loss.detach(), gradient, torch.cat(gathered)), f"{folder}/gradient-{rank}.pt")
    torch.distributed.destroy_process_group()


class Normalized(nn.Sequential):
    """A batch normalization, and a buffer that the images change in another way."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, 2))
        self.register_buffer("last", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.last.copy_(images[0, 0, 0, 0].detach())
        return super().forward(images)


def buffers_after_a_step(rows: Tensor) -> dict[str, Tensor]:
    """Buffers of a network that has seen rows in two passes, of which only the last is differentiated."""
    torch.manual_seed(0)
    settings = ModuleSettings(module="Normalized", factory=Normalized)
    network = ModuleDiscriminator(settings, (3, 1, 1), 2)
    if ranks() > 1:
        take_whole_batches(network)
    player = Player(
        torch.device("cpu"),
        network,
        OptimizerSettings(),
        HardwareSettings(),
        with_ema=True,
        with_history=False,
    )
    player.network.train()
    for module in (player.local, player.wrapped):
        value = module(rows[:, :, None, None]).logits.square().sum()
    player.step(value, 0.0)
    averages = {f"average {name}": buffer for name, buffer in player.tested.named_buffers()}
    return dict(player.network.named_buffers()) | averages


def as_of_torchrun(rank: int, port: int) -> None:
    """Make this process one of two that torchrun starts."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0",
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip


FAILURES: dict[str, tuple[int, Exception]] = {
    "mistake": (1, UserError("batch-size: expected less")),
    "file": (1, FileNotFoundError(2, "No such file or directory", "/absent")),
    "memory": (1, MemoryError()),
    "surprise": (0, KeyError("unknown")),
}
"""The rank that raises in a task of both, and the exception that it raises, by name."""


def fail_on(rank: int, ports: list[int], recipe: Recipe, folder: str) -> None:
    """Save what this rank is told of each failure, and how a run ends that only rank 1 refuses.

    A port for each connection: rank 1 could reach the store of the one before, which is about to end.
    """
    as_of_torchrun(rank, ports[0])
    outcomes: dict[str, list[object]] = {}

    def fail(failing: int, failure: Exception) -> int:
        if rank == failing:
            raise failure
        return rank

    with launched(recipe.hardware):
        for name, (failing, failure) in FAILURES.items():
            task = partial(fail, failing, failure)
            try:
                if failing == 0:
                    on_rank_zero(task)
                else:
                    on_every_rank(task)
            except Exception as error:
                trace = "in fail" in "".join(getattr(error, "__notes__", []))
                outcomes[name] = [type(error).__name__, str(error), trace]
        outcomes["none"] = [on_every_rank(lambda: rank)]
        outcomes["first"] = [from_rank_zero(lambda: rank)]
    original, calls = run.prepare, []

    def refuse(*arguments: Any, **options: Any) -> Any:
        calls.append(True)
        if rank == 1:
            raise UserError("batch-size: expected less")
        return original(*arguments, **options)

    run.prepare = refuse
    as_of_torchrun(rank, ports[1])
    try:
        run.train(recipe, Path(folder) / "refused", console=Console(quiet=True))
    except UserError as error:
        outcomes["run"] = [type(error).__name__, str(error), len(calls)]

    def prepare_other_images(*arguments: Any, **options: Any) -> Any:
        preparation = original(*arguments, **options)
        data = replace(preparation.data, fingerprint="ab"[rank] * 64)
        return replace(preparation, data=data)

    run.prepare = prepare_other_images
    as_of_torchrun(rank, ports[2])
    try:
        run.train(recipe, Path(folder) / "refused", console=Console(quiet=True))
    except UserError as error:
        outcomes["images"] = [type(error).__name__, str(error)]
    run.prepare = original
    Path(folder, f"told-{rank}.json").write_text(json.dumps(outcomes), encoding="utf-8")


def train_on(rank: int, port: int, recipe: Recipe, folder: str) -> None:
    """Train as one of two processes that torchrun starts, and save what this rank ended with."""
    as_of_torchrun(rank, port)
    prepare, prepared = run.prepare, []

    def note(*arguments: Any, **options: Any) -> Preparation:
        """Prepare; the first preparation of rank 0 notes that something damaged was mended."""
        preparation = prepare(*arguments, **options)
        if rank == 0 and not prepared:
            preparation = replace(preparation, data=replace(preparation.data, notes=["mended"]))
        prepared.append(True)
        return preparation

    run.prepare = note
    fitted = []
    original = trainer.fit

    def fit(*arguments: Any, **options: Any) -> Fitted:
        fitted.append(original(*arguments, **options))
        return fitted[-1]

    trainer.fit = fit  # type: ignore[assignment]
    run.train(recipe, Path(folder) / "run", console=Console(quiet=True))
    (result,) = fitted
    networks = (result.discriminator, result.generator, result.baseline)
    weights = [dict(network.named_parameters()) for network in networks if network is not None]
    torch.save(
        [{name: w.detach() for name, w in parameters.items()} for parameters in weights],
        f"{folder}/weights-{rank}.pt",
    )


def wait_alone(rank: int, port: int, recipe: Recipe, folder: str) -> None:
    """Save the error of a rank whose peer has vanished without a word."""
    as_of_torchrun(rank, port)
    try:
        with launched(recipe.hardware):
            launch.TRAINING_TIMEOUT = timedelta(seconds=1)
            launch.wait_less()
            if rank == 1:
                time.sleep(4)
                return
            on_every_rank(lambda: rank)
    except UserError as error:
        Path(folder, "alone.txt").write_text(str(error), encoding="utf-8")


def both_on(rank: int, ports: list[int], recipe: Recipe, folder: str) -> None:
    gradient_on(rank, folder)
    fail_on(rank, ports[:3], recipe, folder)
    train_on(rank, ports[3], recipe, folder)
    wait_alone(rank, ports[4], recipe, folder)


# Two processes take long to start: several tests look at what they leave.
one_worker = pytest.mark.xdist_group("two ranks")


@pytest.fixture(scope="module")
def two_ranks(quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what each of two ranks left: a gradient, and a run with the weights at its end."""
    folder = tmp_path_factory.mktemp("ranks")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(5)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in sockets]
    recipe = replace(quick_recipe, epochs=2, hardware=HardwareSettings(accelerator="cpu"))
    on_two_ranks(both_on, ports, recipe, str(folder))
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
def test_terms_over_two_ranks_are_those_of_the_whole_batch(two_ranks: Path) -> None:
    value, gradient, state = terms_of(slice(None))
    assert gradient.abs().sum() > 0
    remembered = []
    for rank in range(2):
        rank_value, rank_gradient, rank_state = torch.load(
            two_ranks / f"terms-{rank}.pt", weights_only=True
        )
        torch.testing.assert_close(rank_value, value)
        torch.testing.assert_close(rank_gradient, gradient)
        torch.testing.assert_close(rank_state, dict(state))
        remembered.append(rank_state)
    assert equal_states(*remembered)


@one_worker
def test_running_statistics_are_of_the_whole_batch_and_other_buffers_of_the_first_rank(
    two_ranks: Path,
) -> None:
    first, second = (
        torch.load(two_ranks / f"buffers-{rank}.pt", weights_only=True) for rank in range(2)
    )
    assert equal_states(first, second)
    for name, value in buffers_after_a_step(REAL[:, :3].float()).items():
        torch.testing.assert_close(first[name], value, msg=name)


@one_worker
def test_two_ranks_end_with_the_same_weights(two_ranks: Path) -> None:
    """The ranks' images differ, so that their weights are equal only if every gradient is shared."""
    first, second = (
        torch.load(two_ranks / f"weights-{rank}.pt", weights_only=True) for rank in range(2)
    )
    assert len(first) == 3
    assert equal_states(first, second)
    assert json.loads((two_ranks / "run" / "manifest.json").read_text())["processes"] == 2


@one_worker
def test_what_one_rank_finds_is_told_by_all(two_ranks: Path) -> None:
    outcomes = [json.loads((two_ranks / f"told-{rank}.json").read_text()) for rank in range(2)]
    for rank in range(2):
        assert outcomes[rank]["mistake"] == ["UserError", "batch-size: expected less", False]
        assert outcomes[rank]["file"] == ["UserError", "/absent: No such file or directory", False]
        assert outcomes[rank]["memory"] == [
            "RankFailed",
            "rank 1: out of memory: MemoryError",
            True,
        ]
        assert outcomes[rank]["surprise"] == ["RankFailed", "rank 0: KeyError: 'unknown'", True]
        assert outcomes[rank]["none"] == [rank]
        assert outcomes[rank]["first"] == [0]
        # Each rank has prepared once, and a script can go on in the same way on both.
        assert outcomes[rank]["run"] == ["UserError", "batch-size: expected less", 1]
        assert outcomes[rank]["images"] == [
            "UserError",
            "digits: expected the images of rank 0 (fingerprint aaaaaaaaaaaa) on every rank, got others on"
            " rank 1 (bbbbbbbbbbbb)",
        ]
    assert not (two_ranks / "refused").exists()


@one_worker
def test_what_the_first_rank_noted_while_it_read_the_images_is_kept(two_ranks: Path) -> None:
    assert json.loads((two_ranks / "run" / "manifest.json").read_text())["notes"] == ["mended"]


@one_worker
def test_a_rank_whose_other_has_vanished_does_not_wait_for_a_day(two_ranks: Path) -> None:
    message = (two_ranks / "alone.txt").read_text()
    assert message.startswith(
        "torchrun: expected 2 processes to the end, but this one lost another"
    )


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
    repeated = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert repeated.returncode == 1
    assert repeated.stderr.count("expected a new or empty folder") == 1
    assert "Traceback" not in repeated.stderr
