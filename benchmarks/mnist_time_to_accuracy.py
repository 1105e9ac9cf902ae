"""Claim: `mnist` with 100 labels comes to 1.2 % test error, averaged weights, sooner than the peer.

    python benchmarks/mnist_time_to_accuracy.py --data DIR [--epochs 100] [--runs DIR] [--threads N]

Both train in one process and take turns, an epoch each, until each has come there or has had its epochs.
Before, a tenth of an epoch decides how many processes decode for the peer, as in `mnist_epoch`. A side's
clock runs only in its own epochs, evaluation included, and starts with what a fresh process takes to its
first step: imports, opening (ours: decoding, into an empty cache), networks. Ours is the recipe as it is,
without baseline.

Progress is in RUNS/mnist-time-to-accuracy/progress.jsonl after every epoch; the same command goes on from
there. Looking at test errors in every epoch is for the clock alone: nothing is chosen by them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from convergan.files import write_text, written_aside
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import device_name
from convergan.training.launch import launch
from convergan.training.preparation import prepare
from measure import interleaved_times, medians
from mnist_epoch import (
    Enough,
    PeersEpochs,
    as_the_peer,
    best_number,
    fit_in_turns,
    seconds_by_workers,
)
from operations import cpu_precision
from peer_mnist import Peer
from rows import row, write_rows

OURS, PEER = "ours", "peer"
TARGET = 0.012

_START = {
    OURS: """
import sys
from dataclasses import replace
from pathlib import Path
import convergan.cli
from convergan.recipes.presets import PRESETS
from convergan.training.checkpointing import LoopOptions
from convergan.training.launch import launch
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.preparation import prepare
import convergan.training.run

class Begun(Silent):
    def begins_after(self, *_):
        sys.exit()

data, temporary = map(Path, sys.argv[1:])
recipe = PRESETS["mnist"]
recipe = replace(recipe, baseline=False, data=replace(recipe.data, path=data, cache=temporary))
fabric = launch(replace(recipe.hardware, accelerator="cpu"))
training = prepare(recipe, None, processes=1).split.training
checkpoints = temporary / "checkpoints"
fit(fabric, recipe, training, checkpoints=checkpoints, observer=Begun(), options=LoopOptions())
""",
    PEER: """
import sys
from pathlib import Path
from peer_mnist import Discriminator, Generator, ParquetImages, Peer, labelled_images, some_images

images = ParquetImages(Path(sys.argv[1]), "train")
labelled_images(images, range(100))
ParquetImages(Path(sys.argv[1]), "test")
some = some_images(images)
pixels = some[0].numel()
Peer(Discriminator(pixels), Generator(pixels)).initialize(some)
""",
}
"""What each side does from the start of its process to its first step."""


def start(side: str, data: Path) -> None:
    """Runs a fresh process up to its first step, on the images of a folder of parquet files."""
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run(
            [sys.executable, "-c", _START[side], str(data.resolve()), temporary],
            check=True,
            # Where the peer is.
            cwd=Path(__file__).parent,
        )


def start_seconds(data: Path, repeats: int = 3) -> dict[str, float]:
    """Median seconds of each side's start; the files that it reads are in the system's memory."""
    tasks = {OURS: lambda: start(OURS, data), PEER: lambda: start(PEER, data)}
    return medians(interleaved_times(tasks, repeats=repeats, warm_up=1))


class Ledger:
    """The epochs of both sides so far, in a file: {"side", "epoch", "seconds", "error_rate"}."""

    def __init__(self, path: Path, target: float, epochs: int) -> None:
        self.path, self.target, self.epochs = path, target, epochs
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            self.lines = [json.loads(line) for line in path.read_text().splitlines()]

    def of(self, side: str) -> list[dict[str, Any]]:
        """The epochs of one side."""
        return [line for line in self.lines if line["side"] == side]

    def add(self, side: str, epoch: int, seconds: float, error_rate: float) -> None:
        """Notes one epoch."""
        self.lines.append(
            {"side": side, "epoch": epoch, "seconds": seconds, "error_rate": error_rate}
        )
        self._write()
        print(f"{side}, epoch {epoch}: {seconds:.1f} s, error {error_rate:.2%}", flush=True)

    def keep(self, side: str, epochs: int) -> None:
        """Drops what a side did after so many epochs: it will be done again."""
        self.lines = [
            line for line in self.lines if line["side"] != side or line["epoch"] <= epochs
        ]
        self._write()

    def is_done(self, side: str) -> bool:
        """Whether a side has come to the target, or has had its epochs."""
        lines = self.of(side)
        return len(lines) >= self.epochs or any(line["error_rate"] <= self.target for line in lines)

    def summary(self, side: str, start: float) -> dict[str, Any]:
        """When a side came to the target, and how well it did."""
        lines = self.of(side)
        reached = [line["epoch"] for line in lines if line["error_rate"] <= self.target]
        seconds = [line["seconds"] for line in lines]
        return {
            "seconds": start + sum(seconds[: reached[0]]) if reached else None,
            "epoch_reached": reached[0] if reached else None,
            "start_seconds": start,
            "seconds_of_all_epochs": sum(seconds),
            "best_error_rate": min(line["error_rate"] for line in lines),
            "error_rate_by_epoch": [line["error_rate"] for line in lines],
        }

    def _write(self) -> None:
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.lines))


class PeersRun:
    """The peer's epochs, kept after each so that they can go on."""

    def __init__(self, peers: PeersEpochs, ledger: Ledger, path: Path, test_size: int) -> None:
        self.peers, self.ledger, self.path, self.test_size = peers, ledger, path, test_size
        self.epochs = 0
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.epochs = state.pop("epochs")
            peers.peer.load_state_dict(state)
            # Not the first epoch's orders and noise again.
            torch.manual_seed(self.epochs)
        ledger.keep(PEER, self.epochs)

    def go_on(self, epochs: int) -> None:
        """Trains up to so many epochs, or until it is done."""
        while self.epochs < epochs and not self.ledger.is_done(PEER):
            seconds, errors = self.peers.run()
            self.epochs += 1
            self.ledger.add(PEER, self.epochs, seconds, errors / self.test_size)
            with written_aside(self.path) as aside:
                torch.save({"epochs": self.epochs, **self.peers.peer.state_dict()}, aside)


def race(
    recipe: Recipe,
    data: Path,
    make_peer: Callable[[], Peer],
    runs: Path,
    *,
    target: float,
    epochs: int,
    workers: int,
) -> Ledger:
    """Trains both until they are done, or goes on with it."""
    recipe = as_the_peer(recipe, data)
    fabric = launch(recipe.hardware)
    torch.manual_seed(recipe.seed)
    preparation = prepare(recipe, None, processes=1)
    test = preparation.split.test
    assert test is not None
    runs.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(runs / "progress.jsonl", target, epochs)
    peers = PeersEpochs(make_peer(), data, preparation, workers)
    peer = PeersRun(peers, ledger, runs / "peer.pt", len(test))
    folder = RunFolder(runs / "run")
    folder.begin(preparation.recipe, resume=True)

    def epoch_ended(epoch: int, seconds: float, metrics: dict[str, Any]) -> None:
        ledger.add(OURS, epoch, seconds, metrics["test_errors"] / len(test))
        peer.go_on(epoch)
        if ledger.is_done(OURS):
            raise Enough

    if not ledger.is_done(OURS):
        fit_in_turns(fabric, preparation, folder, epoch_ended, lambda done: ledger.keep(OURS, done))
    peer.go_on(epochs)
    return ledger


def result(
    recipe: Recipe, ledger: Ledger, starts: dict[str, float], workers: int
) -> dict[str, Any]:
    """The row: seconds of each, null where it did not come to the target."""
    sides = {side: ledger.summary(side, starts[side]) for side in (OURS, PEER)}
    ours, peer = (sides[side]["seconds"] for side in (OURS, PEER))
    details: dict[str, Any] = {
        f"{side}_{name}": value
        for side, summary in sides.items()
        for name, value in summary.items()
        if name != "seconds"
    }
    return row(
        claim=f"comes to {ledger.target:.1%} test error sooner than the peer, from a cold start",
        setting=f"mnist, {recipe.labels} labels, seed {recipe.seed}, baseline off",
        device=device_name(torch.device("cpu")),
        precision=cpu_precision(recipe),
        ours=ours,
        peer=peer,
        peer_name="plain PyTorch (benchmarks/peer_mnist.py), DataLoader",
        unit="seconds",
        repeats=1,
        times_faster=peer / ours if ours and peer else None,
        target_error_rate=ledger.target,
        most_epochs=ledger.epochs,
        peer_workers=workers,
        **details,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--workers", type=int, help="to go on with as many as before")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = PRESETS["mnist"]
    workers = arguments.workers
    if workers is None:
        preparation = prepare(as_the_peer(recipe, arguments.data), None, processes=1)
        by_workers = seconds_by_workers(Peer(), arguments.data, preparation)
        workers = best_number(by_workers)
        print(f"seconds of a tenth of the peer's epoch, by workers: {by_workers}", flush=True)
    ledger = race(
        recipe,
        arguments.data,
        Peer,
        arguments.runs / "mnist-time-to-accuracy",
        target=TARGET,
        epochs=arguments.epochs,
        workers=workers,
    )
    measured = result(recipe, ledger, start_seconds(arguments.data), workers)
    for side in (OURS, PEER):
        print(
            f"{side}: {measured[side]} s, epoch {measured[f'{side}_epoch_reached']}, "
            f"best error {measured[f'{side}_best_error_rate']:.2%}"
        )
    print(write_rows("mnist-time-to-accuracy", [measured]))


if __name__ == "__main__":
    main()
