"""Claim: an epoch of `mnist`, with data, evaluation and checkpoints, is three times as fast as the peer's.

    python benchmarks/mnist_epoch.py --data DIR [--epochs 3] [--threads N] [--device cuda] [--compile]

Ours is what `train` does, without baseline: the loop, its checkpoints, both networks tested on the 10,000
test images, metrics. The peer's (`peer_mnist`) decodes its images in a `DataLoader` and tests its averaged
network. They take turns, an epoch each. Before, a tenth of an epoch with 0, 1, 2, 4 ... processes that
decode, up to one a core, decides how many the peer gets. The floor is the arithmetic of the steps, and of
testing one network, at the rate of a large matrix product.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

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
from convergan.training.computation import resolved_precision
from convergan.training.health import HealthWarning
from convergan.training.launch import launch
from convergan.training.loop import fit
from convergan.training.observer import EpochRecord
from convergan.training.preparation import Preparation, image_shape, prepare
from convergan.training.progress import Progress
from convergan.training.recorder import Recorder
from measure import MatrixProduct, Times, interleaved_times, medians
from mnist_step import add_device, networks_range, print_row, results_name
from operations import (
    classifying_operations,
    discriminator_dtype,
    floor_seconds,
    step_operations,
)
from peer_mnist import (
    ParquetImages,
    Peer,
    evaluation_loader,
    labelled_images,
    some_images,
    training_loader,
)
from rows import timing, write_rows

WORKERS = [0, *(2**power for power in range((os.cpu_count() or 1).bit_length()))]


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
        pixel_range = networks_range(preparation)
        images = ParquetImages(data, "train", pixel_range)
        self.labelled, self.labels = labelled_images(
            images, preparation.split.training.labelled.tolist()
        )
        peer.initialize(some_images(images))
        some = Subset(images, range(round(share * len(images)))) if share < 1 else images
        batch_size = preparation.recipe.batch_size
        self.unlabelled = training_loader(some, batch_size, workers)
        self.matched = training_loader(some, batch_size, workers)
        self.test = evaluation_loader(ParquetImages(data, "test", pixel_range), workers)

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
    return medians(interleaved_times(tasks, repeats=3, warm_up=1))


def best_number(by_workers: dict[str, float]) -> int:
    """The number of workers that took the fewest seconds."""
    return int(min(by_workers, key=by_workers.__getitem__))


def compare_epochs(
    recipe: Recipe,
    data: Path,
    make_peer: Callable[[], Peer],
    *,
    epochs: int,
    device: Literal["cpu", "cuda"] = "cpu",
) -> dict[str, Any]:
    """What `timing` is told of one epoch: ours, the peer's, and the floor."""
    recipe = as_the_peer(recipe, data, device)
    torch.manual_seed(recipe.seed)
    fabric = launch(recipe.hardware)
    preparation = prepare(recipe, None, processes=1)
    by_workers = seconds_by_workers(make_peer(), data, preparation)
    workers = best_number(by_workers)
    peers = PeersEpochs(make_peer(), data, preparation, workers)
    precision = resolved_precision(recipe.hardware, fabric.device)
    dtypes = {torch.float32, discriminator_dtype(precision)}
    products = {str(dtype): MatrixProduct(fabric.device, dtype) for dtype in dtypes}
    times: Times = {name: [] for name in ("ours", "peer", *products)}
    errors: dict[str, list[int]] = {"ours": [], "peer": []}

    def epoch_ended(epoch: int, seconds: float, metrics: dict[str, Any]) -> None:
        of_peer = peers.run()
        for side, took, wrong in (("ours", seconds, metrics["test_errors"]), ("peer", *of_peer)):
            times[side].append(took)
            errors[side].append(wrong)
            print(f"epoch {epoch}, {side}: {took:.1f} s, {wrong} errors", flush=True)
        found = medians(interleaved_times(products, repeats=5, device=fabric.device))
        for name, took in found.items():
            times[name].append(took)
        if epoch == epochs:
            raise Enough

    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / "run")
        folder.begin(preparation.recipe, resume=False)
        fit_in_turns(fabric, preparation, folder, epoch_ended)
    seconds = medians(times)
    rates = {dtype: MatrixProduct.operations / seconds[str(dtype)] for dtype in dtypes}
    return {
        "device": device_name(fabric.device),
        "precision": precision,
        "times": times,
        "peer": "peer",
        "floor": floor_of_epoch(preparation, precision, rates),
        "unit": "seconds",
        "repeats": epochs,
        "compiled": recipe.hardware.compile,
        "ours_by_epoch": [round(each, 2) for each in times["ours"]],
        "peer_by_epoch": [round(each, 2) for each in times["peer"]],
        "ours_test_errors_by_epoch": errors["ours"],
        "peer_test_errors_by_epoch": errors["peer"],
        "peer_workers": workers,
        "peer_seconds_of_a_tenth_by_workers": {
            number: round(each, 2) for number, each in by_workers.items()
        },
    }


def floor_of_epoch(
    preparation: Preparation, precision: str, rates: Mapping[torch.dtype, float]
) -> float:
    """Seconds that the arithmetic of an epoch's steps takes, and of testing one network."""
    recipe, split = preparation.recipe, preparation.split
    assert split.test is not None
    sizes = image_shape(preparation.data), len(preparation.data.classes)
    steps = ceil(len(split.training.unlabelled) / recipe.batch_size)
    training = floor_seconds(step_operations(recipe, *sizes), precision, rates)
    testing = len(split.test) * classifying_operations(recipe, *sizes) / rates[torch.float32]
    return steps * training + testing


def as_the_peer(recipe: Recipe, data: Path, device: Literal["cpu", "cuda"] = "cpu") -> Recipe:
    """The recipe as the peer's equal: without baseline, on a device, on the images of a folder."""
    return replace(
        recipe,
        baseline=False,
        data=replace(recipe.data, path=data),
        hardware=replace(recipe.hardware, accelerator=device),
    )


def measure_epochs(
    name: str,
    make_peer: Callable[[str], Peer],
    *,
    description: str | None,
    claim: str,
    setting: str,
    peer_name: str,
) -> None:
    """Compares epochs as the command line says, prints the row, and writes it.

    Args:
        name: the recipe's.
        make_peer: given a device.
        description: of the command.
        claim, setting, peer_name: as for `row`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int)
    add_device(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = PRESETS[name]
    row = timing(
        claim=claim,
        setting=setting,
        peer_name=peer_name,
        **compare_epochs(
            replace(recipe, hardware=replace(recipe.hardware, compile=arguments.compile)),
            arguments.data,
            partial(make_peer, arguments.device),
            epochs=arguments.epochs,
            device=arguments.device,
        ),
    )
    print_row(row)
    print(write_rows(results_name(f"{name}-epoch", arguments), [row]))


def main() -> None:
    measure_epochs(
        "mnist",
        lambda device: Peer(device=device),
        description=__doc__,
        claim="an epoch, with data, evaluation and checkpoints, is 3 times as fast as the peer's",
        setting="mnist, 100 labels, batch 100, baseline off",
        peer_name="plain PyTorch (benchmarks/peer_mnist.py), DataLoader",
    )


if __name__ == "__main__":
    main()
