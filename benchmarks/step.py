"""Comparison of a training step of `mnist` or `cifar10` with its arithmetic and with a peer's step.

    python benchmarks/step.py --recipe mnist|cifar10 [--data DIR] [--steps N] [--threads N ...]
        [--device cuda] [--compile off|on|both]

It times one step of both players, without baseline; of `mnist` on one thread and on all, or on N. The
training loop takes a step, then the peer (`harness/peers`), which has a process of its own, takes one on
images in memory, then follows a large matrix product, and so on. The floor is the step's arithmetic
(`operations`) at the rate of that product. The median leaves out the loop's work of every few hundred
steps, such as drawing a new bank of noise; `epoch` contains it. Without --data the images are random.

With --compile ours is compiled, on a GPU as CUDA graphs; the row then has the seconds to the end of the
first step, and the numbers of breaks of the graph.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.networks.pixels import to_network
from convergan.recipes.settings import Recipe
from convergan.runs.provenance import device_name
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import resolved_precision
from convergan.training.launch import choose_device
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.preparation import Preparation, image_shape, prepare
from harness.another_process import in_another_process
from harness.comparison_command import (
    comparison_parser,
    peer_of,
    print_row,
    recipes_of,
    results_name,
)
from harness.equal_terms import networks_range, without_baseline
from harness.measure import Enough, Task, Times, medians, seconds_of, settle, wait_for
from harness.operations import floor_seconds, products_for, rates_of, step_operations
from harness.peers.mnist import Peer
from harness.rows import timing, write_rows

WARM_UP = 10

SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
"""Shapes of the random images of a recipe."""


class TakingTurns(Silent):
    """Times the loop's steps, and after each of them one call of every task."""

    def __init__(
        self, tasks: Mapping[str, Task], *, steps: int, warm_up: int, device: torch.device
    ) -> None:
        self.tasks, self.steps, self.warm_up, self.device = tasks, steps, warm_up, device
        self._times: Times = {name: [] for name in ("ours", *tasks)}

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
        self._start = time.perf_counter()

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        wait_for(self.device)
        self._times["ours"].append(time.perf_counter() - self._start)
        for name, task in self.tasks.items():
            settle(self.device)
            self._times[name].append(seconds_of(task, self.device))
        if done == self.warm_up + self.steps:
            raise Enough
        settle(self.device)
        self._start = time.perf_counter()

    def times(self) -> Times:
        """Seconds after the warm-up."""
        return {name: values[self.warm_up :] for name, values in self._times.items()}

    def first_step(self) -> float:
        """Seconds of the first step, compilation included."""
        return self._times["ours"][0]


def steps_of(
    make_peer: Callable[[], Peer], batches: tuple[Tensor, ...], device: torch.device
) -> Task:
    """A task: a step of the peer."""
    return partial(make_peer().step, *(batch.to(device) for batch in batches))


def compare_steps(
    recipe: Recipe,
    data: DataSet | None,
    make_peer: Callable[[], Peer],
    *,
    steps: int,
    warm_up: int = WARM_UP,
    device: Literal["cpu", "cuda"] = "cpu",
) -> dict[str, Any]:
    """Arguments of `timing` for one step: ours, the peer's, and the floor.

    Args:
        recipe: a semi-supervised one with feature matching.
        data: the images; None: those of the recipe.
        make_peer: gives one with networks of the same sizes, on the device; it can be pickled.
        steps: how many are timed.
        warm_up: how many are taken before.
        device: where both compute.
    """
    # One epoch has all the steps: nothing but steps is timed.
    recipe = replace(
        without_baseline(recipe, device=device), min_steps_per_epoch=warm_up + steps + 1
    )
    torch_device = choose_device(recipe.hardware)
    preparation = prepare(recipe, data, processes=1)
    precision = resolved_precision(recipe.hardware, torch_device, recipe.networks)
    products = products_for(precision, torch_device)
    batches = batches_in_memory(preparation)
    make_task = partial(steps_of, make_peer, batches, torch_device)
    if recipe.hardware.compile:
        torch._dynamo.utils.counters.clear()
    with (
        in_another_process(make_task, torch_device) as peers_step,
        tempfile.TemporaryDirectory() as checkpoints,
        suppress(Enough),
    ):
        turns = TakingTurns(
            {"peer": peers_step, **products}, steps=steps, warm_up=warm_up, device=torch_device
        )
        fit(
            torch_device,
            recipe,
            preparation.split.training,
            checkpoints=Path(checkpoints),
            observer=turns,
            options=LoopOptions(checkpoint_every_seconds=float("inf")),
        )
    seconds = medians(turns.times())
    rates = rates_of(products, seconds)
    classes = len(preparation.data.classes)
    operations = step_operations(recipe, image_shape(preparation.data), classes)
    return {
        "device": device_name(torch_device),
        "precision": precision,
        "times": turns.times(),
        "peer": "peer",
        "floor": floor_seconds(operations, precision, rates),
        "unit": "seconds",
        "repeats": steps,
        "compiled": recipe.hardware.compile,
        **(compiler_counts() if recipe.hardware.compile else {}),
        "first_step_seconds": round(turns.first_step(), 3),
        "gigaflop": round(sum(operations) / 1e9, 3),
        "matrix_product_gigaflops": {
            str(dtype).removeprefix("torch."): round(rate / 1e9) for dtype, rate in rates.items()
        },
    }


def compiler_counts() -> dict[str, int]:
    """Numbers of breaks of the compiled graph, and of CUDA graphs that were skipped."""
    counts = torch._dynamo.utils.counters
    return {
        "graph_breaks": sum(counts["graph_break"].values()),
        "cuda_graphs_skipped": counts["inductor"]["cudagraph_skips"],
    }


def batches_in_memory(preparation: Preparation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labelled images and their labels, and two unlabelled batches, as the peer's `step` takes them."""
    recipe, training = preparation.recipe, preparation.split.training
    size = recipe.batch_size
    pixel_range = networks_range(preparation)

    def images(indices: Any) -> Tensor:
        return to_network(torch.from_numpy(training.images[indices]), pixel_range)

    labelled, unlabelled = training.labelled[:size], training.unlabelled
    return (
        images(labelled),
        torch.from_numpy(training.labels[:size]),
        images(unlabelled[:size]),
        images(unlabelled[-size:]),
    )


def random_images(count: int, shape: tuple[int, int, int] = SHAPES["cifar10"]) -> DataSet:
    """Random images in ten classes, as many for testing as for training."""
    images = np.random.default_rng(0).integers(256, size=(2, count, *shape), dtype=np.uint8)
    labels = np.arange(count) % 10
    return data_set_from_arrays(images[0], labels, images[1], labels)


def main() -> None:
    parser = comparison_parser(__doc__)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    name, on_cpu = arguments.recipe, arguments.device == "cpu"
    # A step of `cifar10` takes a CPU seconds.
    is_slow = name == "cifar10" and on_cpu
    steps = arguments.steps or (5 if is_slow else 40)
    cores = torch.get_num_threads()
    every = arguments.threads or ([cores] if is_slow or not on_cpu else sorted({1, cores}))
    rows: list[dict[str, Any]] = []
    for recipe in recipes_of(arguments):
        data = None
        if arguments.data is None:
            recipe, data = replace(recipe, labels=100), random_images(500, SHAPES[name])
        for threads in every:
            torch.set_num_threads(threads)
            compared = compare_steps(
                recipe,
                data,
                peer_of(arguments),
                steps=steps,
                warm_up=1 if is_slow else WARM_UP,
                device=arguments.device,
            )
            rows.append(
                timing(
                    claim="a training step beside its arithmetic and the peer's",
                    setting=f"{name}, {recipe.labels} labels, batch {recipe.batch_size}, one step of"
                    f" both players, baseline off{', random images' if data is not None else ''}",
                    peer_name=f"plain PyTorch (benchmarks/harness/peers/{name}.py), images in memory",
                    **compared,
                )
            )
            print_row(rows[-1])
            path = write_rows(results_name("step", arguments), rows)
    print(path)


if __name__ == "__main__":
    main()
