"""Claim: an epoch of `mnist`, with data, evaluation and checkpoints, is three times as fast as the peer's.

    python benchmarks/mnist_epoch.py --data DIR [--epochs 3] [--threads N]

Ours is what `train` does, without baseline: the loop, its checkpoints, both networks tested on the 10,000
test images, metrics. The peer's (`peer_mnist`) decodes its images in a `DataLoader` and tests its averaged
network. They take turns, an epoch each. Before, a tenth of an epoch with 0, 1 and 2 processes that decode
decides how many the peer gets.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.console import Console
from torch.utils.data import Subset

from convergan.networks.interface import Discriminator, Generator
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.provenance import device_name
from convergan.training.checkpointing import LoopOptions
from convergan.training.health import HealthWarning
from convergan.training.launch import launch
from convergan.training.loop import fit
from convergan.training.observer import EpochRecord
from convergan.training.preparation import Preparation, prepare
from convergan.training.progress import Progress
from convergan.training.recorder import Recorder
from measure import interleaved_seconds
from operations import cpu_precision
from peer_mnist import (
    ParquetImages,
    Peer,
    evaluation_loader,
    labelled_images,
    some_images,
    training_loader,
)
from rows import timing, write_rows

WORKERS = (0, 1, 2)


class Enough(Exception):
    """Ends a training from within its observer."""


class EpochByEpoch:
    """Leaves the books to the recorder, and tells what every epoch took and came to.

    Args:
        recorder: what `train` has as observer.
        epoch_ended: called with the epoch, its seconds, evaluation included, and the line of its metrics.
        begins_after: called with the number of epochs that are already done.
    """

    def __init__(
        self,
        recorder: Recorder,
        epoch_ended: Callable[[int, float, dict[str, Any]], None],
        begins_after: Callable[[int], None],
    ) -> None:
        self.recorder = recorder
        self._epoch_ended, self._begins_after = epoch_ended, begins_after

    def steps_done(self, done: int, of: int) -> None:
        """See `Observer`."""
        self.recorder.steps_done(done, of)

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """See `Observer`."""
        self.recorder.begins_after(epochs_done, warning)
        self._begins_after(epochs_done)

    def epoch_ended(
        self,
        record: EpochRecord,
        discriminator: Discriminator,
        averaged: Discriminator,
        baseline: Discriminator | None,
        generator: Generator,
    ) -> None:
        """See `Observer`."""
        start = time.perf_counter()
        self.recorder.epoch_ended(record, discriminator, averaged, baseline, generator)
        # The loop's own count holds its checkpoints, and fits also where it was resumed within the epoch.
        seconds = record.seconds_per_epoch + time.perf_counter() - start
        self._epoch_ended(record.epoch, seconds, read_metrics(self.recorder.folder.metrics)[-1])


def fit_in_turns(
    fabric: Fabric,
    preparation: Preparation,
    folder: RunFolder,
    epoch_ended: Callable[[int, float, dict[str, Any]], None],
    begins_after: Callable[[int], None] = lambda epochs_done: None,
) -> None:
    """Trains as `train` does, until `epoch_ended` raises `Enough`."""
    recipe, split = preparation.recipe, preparation.split
    with Progress(Console(quiet=True), recipe.epochs, title="epoch") as progress:
        recorder = Recorder(
            folder,
            test=split.test,
            epochs=recipe.epochs,
            seed=recipe.seed,
            device=fabric.device,
            resident_bytes=recipe.data.resident_bytes,
            progress=progress,
            logger=None,
        )
        with suppress(Enough):
            fit(
                fabric,
                recipe,
                split.training,
                checkpoints=folder.checkpoints,
                observer=EpochByEpoch(recorder, epoch_ended, begins_after),
                options=LoopOptions(),
            )


class PeersEpochs:
    """The peer's epochs on the images of a folder of parquet files.

    Args:
        peer: networks that fit the images; they are initialized from some of them.
        data: the folder.
        preparation: says which images are labelled, and how many are in a batch.
        workers: processes that decode.
        share: of the training images, that an epoch has.
    """

    def __init__(
        self, peer: Peer, data: Path, preparation: Preparation, workers: int, share: float = 1
    ) -> None:
        self.peer = peer
        images = ParquetImages(data, "train")
        self.labelled, self.labels = labelled_images(
            images, preparation.split.training.labelled.tolist()
        )
        peer.initialize(some_images(images))
        some = Subset(images, range(round(share * len(images)))) if share < 1 else images
        batch_size = preparation.recipe.batch_size
        self.unlabelled = training_loader(some, batch_size, workers)
        self.matched = training_loader(some, batch_size, workers)
        self.test = evaluation_loader(ParquetImages(data, "test"))

    def train(self) -> None:
        """One epoch without a test."""
        self.peer.train_epoch(self.unlabelled, self.matched, self.labelled, self.labels)

    def run(self) -> tuple[float, int]:
        """One epoch: its seconds, and the errors after it."""
        start = time.perf_counter()
        self.train()
        errors = self.peer.test_errors(self.test)
        return time.perf_counter() - start, errors


def seconds_by_workers(peer: Peer, data: Path, preparation: Preparation) -> dict[str, float]:
    """Seconds of a tenth of an epoch with so many processes that decode."""
    tasks = {
        str(workers): PeersEpochs(peer, data, preparation, workers, share=0.1).train
        for workers in WORKERS
    }
    # The first call starts the processes.
    return interleaved_seconds(tasks, repeats=3, warm_up=1)


def compare_epochs(
    recipe: Recipe, data: Path, make_peer: Callable[[], Peer], *, epochs: int
) -> dict[str, Any]:
    """What a row says of one epoch on the CPU: ours and the peer's, in seconds."""
    recipe = on_cpu(recipe, data)
    fabric = launch(recipe.hardware)
    preparation = prepare(recipe, None, processes=1)
    by_workers = seconds_by_workers(make_peer(), data, preparation)
    workers = int(min(by_workers, key=by_workers.__getitem__))
    peers = PeersEpochs(make_peer(), data, preparation, workers)
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []

    def epoch_ended(epoch: int, seconds: float, metrics: dict[str, Any]) -> None:
        ours.append((seconds, metrics["test_errors"]))
        theirs.append(peers.run())
        print(f"epoch {epoch}: ours and the peer's seconds and errors {ours[-1]}, {theirs[-1]}")
        if epoch == epochs:
            raise Enough

    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / "run")
        folder.begin(preparation.recipe, resume=False)
        fit_in_turns(fabric, preparation, folder, epoch_ended)
    return {
        "device": device_name(fabric.device),
        "precision": cpu_precision(recipe),
        "ours": median(seconds for seconds, _ in ours),
        "peer": median(seconds for seconds, _ in theirs),
        "unit": "seconds",
        "repeats": epochs,
        "ours_by_epoch": [round(seconds, 2) for seconds, _ in ours],
        "peer_by_epoch": [round(seconds, 2) for seconds, _ in theirs],
        "ours_test_errors_by_epoch": [errors for _, errors in ours],
        "peer_test_errors_by_epoch": [errors for _, errors in theirs],
        "peer_workers": workers,
        "peer_seconds_of_a_tenth_by_workers": {
            number: round(seconds, 2) for number, seconds in by_workers.items()
        },
    }


def on_cpu(recipe: Recipe, data: Path) -> Recipe:
    """The recipe as the peer's equal: without baseline, on the CPU, on the images of a folder."""
    return replace(
        recipe,
        baseline=False,
        data=replace(recipe.data, path=data),
        hardware=replace(recipe.hardware, accelerator="cpu"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    row = timing(
        claim="an epoch, with data, evaluation and checkpoints, is 3 times as fast as the peer's",
        setting="mnist, 100 labels, batch 100, baseline off",
        peer_name="plain PyTorch (benchmarks/peer_mnist.py), DataLoader",
        **compare_epochs(PRESETS["mnist"], arguments.data, Peer, epochs=arguments.epochs),
    )
    print(
        f"ours {row['ours']:.1f} s, peer {row['peer']:.1f} s: {row['times_faster']:.2f} times as fast"
    )
    print(write_rows("mnist-epoch", [row]))


if __name__ == "__main__":
    main()
