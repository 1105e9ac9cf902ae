"""Epochs of a recipe and of its peer, with their seconds and errors."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.utils.data import Subset

from convergan.runs.epochs import EpochLine, EpochRecord, HealthWarning
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.training.checkpointing import LoopOptions
from convergan.training.loop import fit, steps_in_all
from convergan.training.preparation import Preparation
from convergan.training.progress import ProgressEntry, RunProgress
from convergan.training.recorder import Recorder
from harness.equal_terms import WORKERS, networks_range
from harness.measure import Enough, interleaved_times, medians
from harness.peers.mnist import (
    ParquetImages,
    Peer,
    evaluation_loader,
    labelled_images,
    some_images,
    training_loader,
)


class EpochByEpoch:
    """An observer that records as `train` does, and reports the seconds and metrics of every epoch.

    Args:
        recorder: the observer of `train`.
        epoch_ended: called with the epoch, its seconds, evaluation included, and the line of its metrics.
    """

    def __init__(
        self,
        recorder: Recorder,
        epoch_ended: Callable[[int, float, EpochLine], None],
    ) -> None:
        self.recorder = recorder
        self._epoch_ended = epoch_ended

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        self.recorder.steps_done(done, total)

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """See `Observer`."""
        self.recorder.begins_after(epochs_done, warning)

    def epoch_ended(self, record: EpochRecord, *networks: Any) -> None:
        """See `Observer`."""
        start = time.perf_counter()
        self.recorder.epoch_ended(record, *networks)
        # The loop's own count holds its checkpoints, and fits also where it was resumed within the epoch.
        seconds = record.seconds_per_epoch + time.perf_counter() - start
        self._epoch_ended(record.epoch, seconds, read_metrics(self.recorder.folder.metrics)[-1])


def fit_in_turns(
    device: torch.device,
    preparation: Preparation,
    folder: RunFolder,
    epoch_ended: Callable[[int, float, EpochLine], None],
) -> None:
    """Train as `train` does, until `epoch_ended` raises `Enough`."""
    recipe, split = preparation.recipe, preparation.split
    steps = steps_in_all(recipe, len(split.training.unlabelled))
    bar = ProgressEntry(title="epoch", epochs=recipe.epochs, steps=steps)
    with RunProgress(Console(quiet=True), [bar]).training(0) as progress:
        recorder = Recorder(
            folder,
            test=split.test,
            epochs=recipe.epochs,
            seed=recipe.seed,
            device=device,
            resident_bytes=recipe.data.resident_bytes,
            progress=progress,
            logger=None,
        )
        with suppress(Enough):
            fit(
                device,
                recipe,
                split.training,
                checkpoints=folder.checkpoints,
                observer=EpochByEpoch(recorder, epoch_ended),
                options=LoopOptions(),
            )


class PeersEpochs:
    """The peer's epochs on the images of a folder of parquet files.

    Args:
        peer: networks that fit the images; they are initialized from some of them.
        data: the folder.
        preparation: the labelled images and the size of a batch.
        workers: number of processes that decode.
        share: share of the training images in an epoch.
    """

    def __init__(
        self, peer: Peer, data: Path, preparation: Preparation, workers: int, share: float = 1
    ) -> None:
        self.peer = peer
        pixel_range = networks_range(preparation)
        images = ParquetImages(data, "train", pixel_range)
        self.labelled, self.labels = labelled_images(
            images, preparation.split.training.labelled.tolist()
        )
        peer.initialize(some_images(images))
        epoch_images = Subset(images, range(round(share * len(images)))) if share < 1 else images
        batch_size = preparation.recipe.batch_size
        self.unlabelled = training_loader(epoch_images, batch_size, workers)
        self.matched = training_loader(epoch_images, batch_size, workers)
        self.test = evaluation_loader(ParquetImages(data, "test", pixel_range), workers)

    def train(self) -> None:
        """Train for an epoch, without a test."""
        self.peer.train_epoch(self.unlabelled, self.matched, self.labelled, self.labels)

    def run(self) -> tuple[float, int]:
        """Train for an epoch and test; return its seconds and errors."""
        start = time.perf_counter()
        self.train()
        errors = self.peer.test_errors(self.test)
        return time.perf_counter() - start, errors


def seconds_by_workers(peer: Peer, data: Path, preparation: Preparation) -> dict[str, float]:
    """Seconds of a tenth of an epoch by number of decoding processes."""
    tasks = {
        str(workers): PeersEpochs(peer, data, preparation, workers, share=0.1).train
        for workers in WORKERS
    }
    # The first call starts the processes.
    return medians(interleaved_times(tasks, repeats=3, device=peer.device, warm_up=1))


def best_number(by_workers: dict[str, float]) -> int:
    """The number of workers that took the fewest seconds."""
    return int(min(by_workers, key=by_workers.__getitem__))
