"""Claim: `mnist` with 100 labels comes to 1.2 % test error, averaged weights, sooner than the peer.

    python benchmarks/mnist_time_to_accuracy.py --data DIR [--seed 2] [--epochs 100] [--runs DIR]

Both train in one process and take turns, an epoch each, until each has come there or has had its epochs.
Before, a tenth of an epoch decides how many processes decode for the peer, as in `epoch`. A side's
clock runs only in its own epochs, evaluation included, and starts with what a fresh process takes to its
first step: imports, opening (ours: decoding, into an empty cache), networks. Ours is the recipe as it is,
without baseline. Seed 2 is the first that was begun after the recipe's settings had been chosen.

Which epoch is the first below the target is chance to a good part, for each side. The ratio is about that of
the mean seconds of an epoch, `epoch_seconds_ratio`, times that of the epochs needed, `epochs_needed_ratio`:
the start is little beside them. `epoch_times_faster` is the median of the epochs that were run in turn.

Progress is in RUNS/mnist-time-to-accuracy-seed2 after every epoch; the same command goes on from there, on a
machine that computes alike. The first epochs after that count with the median of their side: of ours, only
a part was run in one process. Looking at test errors in every epoch is for the clock alone: nothing is chosen
by them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder
from convergan.training.launch import choose_device
from convergan.training.preparation import prepare
from epochs_in_turn import PeersEpochs, best_number, fit_in_turns, seconds_by_workers
from equal_terms import require_constant_rate, without_baseline
from kept_epochs import OURS, PEER, Ledger, PeersRun, conditions
from measure import Enough, interleaved_times, medians
from peer_mnist import Peer
from rows import row, write_rows

TARGET = 0.012

_START = {
    OURS: """
import sys
from dataclasses import replace
from pathlib import Path
import convergan.cli
from convergan.recipes.presets import PRESETS
from convergan.training.checkpointing import LoopOptions
from convergan.training.launch import choose_device
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
device = choose_device(replace(recipe.hardware, accelerator="cpu"))
training = prepare(recipe, None, processes=1).split.training
checkpoints = temporary / "checkpoints"
fit(device, recipe, training, checkpoints=checkpoints, observer=Begun(), options=LoopOptions())
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
            env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        )


def start_seconds(data: Path, repeats: int = 3) -> dict[str, float]:
    """Median seconds of each side's start; the files that it reads are in the system's memory."""
    tasks = {OURS: lambda: start(OURS, data), PEER: lambda: start(PEER, data)}
    return medians(interleaved_times(tasks, repeats=repeats, warm_up=1))


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
    recipe = without_baseline(recipe, data)
    device = choose_device(recipe.hardware)
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

    def epoch_ended(epoch: int, seconds: float, line: EpochLine) -> None:
        ledger.add(OURS, epoch, seconds, line.test_errors / len(test))
        peer.go_on(epoch)
        if ledger.is_done(OURS):
            raise Enough

    if not ledger.is_done(OURS):
        fit_in_turns(device, preparation, folder, epoch_ended, lambda done: ledger.keep(OURS, done))
    peer.go_on(epochs)
    return ledger


def result(
    recipe: Recipe, ledger: Ledger, starts: dict[str, float], found: dict[str, Any]
) -> dict[str, Any]:
    """The row: seconds of each, null where it did not come to the target.

    Args:
        recipe: ours.
        ledger: of a race that is done.
        starts: seconds of each side's start.
        found: its conditions.
    """
    sides = {side: ledger.summary(side, starts[side]) for side in (OURS, PEER)}
    ours, peer = (sides[side]["seconds"] for side in (OURS, PEER))
    in_turn = zip(ledger.seconds(OURS), ledger.seconds(PEER), strict=False)
    details: dict[str, Any] = {
        f"{side}_{name}": value
        for side, summary in sides.items()
        for name, value in summary.items()
        if name != "seconds"
    }
    return row(
        claim=f"comes to {ledger.target:.1%} test error sooner than the peer, from a cold start",
        setting=f"mnist, {recipe.labels} labels, seed {recipe.seed}, baseline off",
        ours=ours,
        peer=peer,
        peer_name="plain PyTorch (benchmarks/peer_mnist.py), DataLoader",
        unit="seconds",
        repeats=1,
        times_faster=peer / ours if ours and peer else None,
        epoch_times_faster=median(of_peer / of_ours for of_ours, of_peer in in_turn),
        epoch_seconds_ratio=mean(ledger.seconds(PEER)) / mean(ledger.seconds(OURS)),
        epochs_needed_ratio=(
            sides[PEER]["epoch_reached"] / sides[OURS]["epoch_reached"] if ours and peer else None
        ),
        target_error_rate=ledger.target,
        most_epochs=ledger.epochs,
        **found,
        **details,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = replace(PRESETS["mnist"], seed=arguments.seed)
    require_constant_rate(parser, recipe, arguments.epochs)
    name = f"mnist-time-to-accuracy-seed{arguments.seed}"
    runs = arguments.runs / name
    runs.mkdir(parents=True, exist_ok=True)

    def decide() -> dict[str, Any]:
        preparation = prepare(without_baseline(recipe, arguments.data), None, processes=1)
        by_workers = seconds_by_workers(Peer(), arguments.data, preparation)
        return {
            "peer_workers": best_number(by_workers),
            "peer_seconds_of_a_tenth_by_workers": by_workers,
        }

    found = conditions(runs / "conditions.json", recipe, decide)
    print(found, flush=True)
    ledger = race(
        recipe,
        arguments.data,
        Peer,
        runs,
        target=TARGET,
        epochs=arguments.epochs,
        workers=found["peer_workers"],
    )
    measured = result(recipe, ledger, start_seconds(arguments.data), found)
    for side in (OURS, PEER):
        print(
            f"{side}: {measured[side]} s, epoch {measured[f'{side}_epoch_reached']}, "
            f"best error {measured[f'{side}_best_error_rate']:.2%}"
        )
    print(write_rows(name, [measured]))


if __name__ == "__main__":
    main()
