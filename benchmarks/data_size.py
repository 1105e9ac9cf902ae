"""Claim: 10 and 100 times the data change neither the time of a step nor the memory by more than 5 %.

    python benchmarks/data_size.py --data DIR [--folder DIR] [--steps 600] [--threads N]

The training loop takes steps of the recipe `mnist` on 20,000 images of MNIST, and on these repeated to
200,000 and 2,000,000 (1.6 GB), from a file of pixels on the disk, as in a store. Each training has a
process of its own and takes the same steps. A turn is ten steps, and the sizes take turns until each has
had `--steps`. Each ratio compares two turns of the same round: other load on the machine slows both.

Memory is the peak of the process's anonymous memory. Pages of the file do not count: they are the system's
cache, which it can take back. Here all of them are in the cache. Where they are not, a step waits for the
disk.
"""

import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from convergan.data.source import open_data_set
from convergan.data.store_index import DIGESTS, PIXELS
from convergan.data.stored_images import StoredImages, image_digest
from convergan.data.training_data import TrainingData
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.provenance import device_name
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import resolved_precision
from convergan.training.launch import choose_device
from convergan.training.loop import fit
from convergan.training.observer import Silent
from harness.another_process import Turns, turns_of_another_process
from harness.command_line import command_parser
from harness.equal_terms import without_baseline
from harness.measure import memory_mb, quartiles_of_ratio, settle
from harness.rows import row, write_rows

IMAGES = 20_000
Shape = tuple[int, int, int, int]

TIMES = (1, 10, 100)
STEPS_OF_TURN = 10
WARM_UP_TURNS = 2


class Turn(NamedTuple):
    """Measurements of a training after some steps."""

    step_seconds: float
    peak_mb: float
    """Peak of memory since the training began."""


class PeakMemory:
    """The most anonymous memory that this process had inside a `with` block, looked at 100 times a second."""

    def __enter__(self) -> "PeakMemory":
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.megabytes = max(self.megabytes, memory_mb("RssAnon"))


class InTurns(Silent):
    """An observer that lets a training continue for a turn when it is asked for one."""

    def __init__(self, turns: Turns, peak: PeakMemory) -> None:
        self.turns, self.peak = turns, peak

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
        self._begin()

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        if done % STEPS_OF_TURN == 0:
            seconds = (time.perf_counter() - self._start) / STEPS_OF_TURN
            self.turns.done(Turn(seconds, self.peak.megabytes))
            self._begin()

    def _begin(self) -> None:
        self.turns.wait()
        self._start = time.perf_counter()


def recipe_of(steps: int) -> Recipe:
    """`mnist` without baseline, on images on the disk; one epoch has all steps, so that none ends between."""
    recipe = without_baseline(PRESETS["mnist"])
    on_disk = replace(recipe.data, resident_mb=0)
    return replace(recipe, min_steps_per_epoch=steps + 1, data=on_disk)


def train_in_turns(recipe: Recipe, pixels: Path, shape: Shape, turns: Turns) -> None:
    """Train on the first images of a file of pixels: so many, of this height, width and channels."""
    data = TrainingData(
        images=StoredImages(pixels, pixels.with_name(DIGESTS), shape),
        labelled=np.arange(100),
        labels=np.arange(100) % 10,
        unlabelled=np.arange(shape[0]),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=tuple(map(str, range(10))),
    )
    with tempfile.TemporaryDirectory() as checkpoints, PeakMemory() as peak:
        fit(
            choose_device(recipe.hardware),
            recipe,
            data,
            checkpoints=Path(checkpoints),
            observer=InTurns(turns, peak),
            options=LoopOptions(checkpoint_every_seconds=float("inf")),
        )


def write_pixels(data: Path, pixels: Path) -> Shape:
    """The first images of MNIST, again and again; gives the shape of one time all of them."""
    recipe = PRESETS["mnist"]
    images = open_data_set(replace(recipe.data, path=data)).train.images[:IMAGES]
    digests = b"".join(image_digest(image.tobytes()) for image in images)
    pixels.with_name(DIGESTS).write_bytes(digests * max(TIMES))
    with pixels.open("wb") as file:
        for _ in range(max(TIMES)):
            file.write(np.ascontiguousarray(images).data)
    count, height, width, _ = images.shape
    return count, height, width, 1


def measure(pixels: Path, shape: Shape, steps: int) -> dict[int, list[Turn]]:
    """The turns of each size, after those that warm it up."""
    count, height, width, channels = shape
    turns: dict[int, list[Turn]] = {times: [] for times in TIMES}
    rounds = WARM_UP_TURNS + steps // STEPS_OF_TURN
    recipe = recipe_of(rounds * STEPS_OF_TURN)
    with ExitStack() as processes:
        trainings = {
            times: processes.enter_context(
                turns_of_another_process(
                    partial(
                        train_in_turns, recipe, pixels, (times * count, height, width, channels)
                    )
                )
            )
            for times in TIMES
        }
        for number in range(rounds):
            # Each size is as often the first of a round as any other.
            first = number % len(TIMES)
            for times in TIMES[first:] + TIMES[:first]:
                settle("cpu")
                turns[times].append(trainings[times]())
    return {times: size_turns[WARM_UP_TURNS:] for times, size_turns in turns.items()}


def compare(turns: dict[int, list[Turn]], shape: Shape) -> list[dict[str, Any]]:
    """Rows of time and of memory for each size beyond the first."""
    count, height, width, _ = shape
    seconds = {
        times: [turn.step_seconds for turn in size_turns] for times, size_turns in turns.items()
    }
    peaks = {times: [size_turns[-1].peak_mb] for times, size_turns in turns.items()}
    rows = []
    for times in TIMES[1:]:
        for by_times, unit, claim in (
            (seconds, "seconds", "the time of a step is flat within 5 %"),
            (peaks, "MB of anonymous memory", "the peak of memory is flat within 5 %"),
        ):
            larger, smallest = by_times[times], by_times[1]
            quartiles = quartiles_of_ratio(larger, smallest)
            rows.append(
                row(
                    claim=f"with {times} times the data {claim}",
                    setting=f"mnist, {times * count:,} images of {height}x{width}, on the disk",
                    device=device_name(torch.device("cpu")),
                    precision=resolved_precision(PRESETS["mnist"].hardware, torch.device("cpu")),
                    ours=median(larger),
                    peer=median(smallest),
                    peer_name=f"{count:,} images",
                    unit=unit,
                    repeats=len(larger),
                    share_of_peer=quartiles[1],
                    share_of_peer_quartiles=quartiles,
                    ours_by_turn=larger,
                    peer_by_turn=smallest,
                    steps_of_turn=STEPS_OF_TURN,
                )
            )
            print(
                f"{times} times the data: {median(larger):.4g} {unit}, {quartiles[1]:.1%} of that of 1x"
                f" (quartiles {quartiles[0]:.1%} to {quartiles[2]:.1%})"
            )
    return rows


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where the file of pixels goes for the time")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        pixels = Path(folder) / PIXELS
        shape = write_pixels(arguments.data, pixels)
        rows = compare(measure(pixels, shape, arguments.steps), shape)
    print(write_rows("data-size", rows))


if __name__ == "__main__":
    main()
