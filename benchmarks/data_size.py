"""Claim: 10 and 100 times the data change neither the time of a step nor the memory by more than 5 %.

    python benchmarks/data_size.py --data DIR [--folder DIR] [--steps 150] [--rounds 6] [--threads N]

The training loop with the recipe `mnist` on 20,000 images of MNIST, and on these repeated to 200,000 and
2,000,000 (1.6 GB), from a memory-mapped file of pixels as a store has it. Each training is a process of its
own; the sizes take turns.

Memory is the peak of the process's anonymous memory. Pages of the mapped file do not count: they are the
system's cache, which it takes back when it needs the room, and are counted for whoever reads a file. Here all
of them are in the cache; where they are not, a step waits for the disk.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from convergan.data.source import open_data_set
from convergan.data.store_writer import PIXELS
from convergan.data.training_data import TrainingData
from convergan.recipes.presets import PRESETS
from convergan.runs.provenance import device_name
from convergan.training.checkpointing import LoopOptions
from convergan.training.launch import launch
from convergan.training.loop import fit
from convergan.training.observer import Silent
from measure import quartiles_of_ratio
from operations import cpu_precision
from rows import row, write_rows

IMAGES = 20_000
TIMES = (1, 10, 100)
SHAPE = (28, 28, 1)
WARM_UP = 20


class _Enough(Exception):
    pass


class Stopwatch(Silent):
    """Times steps, and stops after so many."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.times: list[float] = []

    def steps_done(self, done: int, of: int) -> None:
        """See `Observer`."""
        self.times.append(time.perf_counter())
        if done == WARM_UP + self.steps:
            raise _Enough

    @property
    def step_seconds(self) -> float:
        """The median, after the warm-up."""
        return float(np.median(np.diff(self.times[WARM_UP:])))


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
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(line.split()[1] for line in lines if line.startswith("RssAnon:"))
            self.megabytes = max(self.megabytes, int(kilobytes) * 1024 / 1e6)


def train_some_steps(pixels: Path, images: int, steps: int) -> dict[str, Any]:
    """The median seconds of a step on the first so many images of a file, and the peak of memory."""
    recipe = PRESETS["mnist"]
    recipe = replace(
        recipe,
        baseline=False,
        data=replace(recipe.data, resident_mb=0),
        hardware=replace(recipe.hardware, accelerator="cpu"),
    )
    data = TrainingData(
        images=np.memmap(pixels, dtype=np.uint8, mode="r", shape=(images, *SHAPE)),
        labelled=np.arange(100),
        labels=np.arange(100) % 10,
        unlabelled=np.arange(images),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=tuple(map(str, range(10))),
    )
    fabric = launch(recipe.hardware)
    stopwatch = Stopwatch(steps)
    with tempfile.TemporaryDirectory() as checkpoints, suppress(_Enough), PeakMemory() as peak:
        fit(
            fabric,
            recipe,
            data,
            checkpoints=Path(checkpoints),
            observer=stopwatch,
            options=LoopOptions(checkpoint_every_seconds=float("inf")),
        )
    return {
        "step_seconds": stopwatch.step_seconds,
        "peak_mb": peak.megabytes,
        "device": device_name(fabric.device),
        "precision": cpu_precision(recipe),
    }


def write_pixels(data: Path, pixels: Path) -> None:
    """The first images of MNIST, again and again."""
    recipe = PRESETS["mnist"]
    images = open_data_set(replace(recipe.data, path=data)).train.images[:IMAGES]
    with pixels.open("wb") as file:
        for _ in range(max(TIMES)):
            file.write(np.ascontiguousarray(images).data)


def compare(measured: dict[int, list[dict[str, Any]]], steps: int) -> list[dict[str, Any]]:
    """Rows of time and of memory for each size beyond the first."""
    rows = []
    for times in TIMES[1:]:
        common = {
            "setting": f"mnist, {times * IMAGES:,} images of 28x28, memory-mapped",
            "device": measured[1][0]["device"],
            "precision": measured[1][0]["precision"],
            "peer_name": f"{IMAGES:,} images",
            "repeats": len(measured[1]),
            "steps": steps,
        }
        for name, unit, claim in (
            ("step_seconds", "seconds", "the time of a step is flat within 5 %"),
            ("peak_mb", "MB of anonymous memory", "the peak of memory is flat within 5 %"),
        ):
            ours, peer = ([each[name] for each in measured[size]] for size in (times, 1))
            quartiles = quartiles_of_ratio(ours, peer)
            rows.append(
                row(
                    claim=f"with {times} times the data {claim}",
                    ours=median(ours),
                    peer=median(peer),
                    unit=unit,
                    share_of_peer=quartiles[1],
                    share_of_peer_quartiles=quartiles,
                    ours_by_round=ours,
                    peer_by_round=peer,
                    **common,
                )
            )
            print(
                f"{times} times the data: {median(ours):.4g} {unit}, {quartiles[1]:.1%} of that of 1x"
                f" (quartiles {quartiles[0]:.1%} to {quartiles[2]:.1%})"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where the file of pixels goes for the time")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--train", type=int, metavar="IMAGES", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        torch.set_num_threads(arguments.threads or torch.get_num_threads())
        result = train_some_steps(arguments.folder / PIXELS, arguments.train, arguments.steps)
        print(json.dumps(result))
        return
    measured: dict[int, list[dict[str, Any]]] = {times: [] for times in TIMES}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write_pixels(arguments.data, Path(folder) / PIXELS)
        for number in range(arguments.rounds):
            # Each size is as often the first of a round as any other.
            first = number % len(TIMES)
            for times in TIMES[first:] + TIMES[:first]:
                command = [sys.executable, __file__, *sys.argv[1:]]
                command += ["--folder", folder, "--train", str(times * IMAGES)]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
                measured[times].append(json.loads(out.splitlines()[-1]))
                last = measured[times][-1]
                print(
                    f"{times * IMAGES:,} images: {last['step_seconds'] * 1e3:.2f} ms a step,"
                    f" {last['peak_mb']:.0f} MB",
                    flush=True,
                )
    print(write_rows("data-size", compare(measured, arguments.steps)))


if __name__ == "__main__":
    main()
