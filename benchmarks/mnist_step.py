"""Claim: a training step of `mnist` takes at most 2.0 times its arithmetic, 2.5 times less than a peer's.

    python benchmarks/mnist_step.py --data DIR [--steps 40] [--threads N ...] [--device cuda] [--compile]

One step of both players, without baseline, on one thread and on as many as there are, or on N. The training
loop takes a step, then the peer (`peer_mnist`), which has a process of its own, one on images in memory, then
a large matrix product, and so on. The floor is the step's arithmetic (`operations`) at the rate of that
product. What the loop does every few hundred steps, such as drawing a new bank of noise, the median leaves
out; `mnist_epoch` has it all.
With --compile ours is compiled, on a GPU as CUDA graphs; the seconds before its first step's end are kept.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from convergan.data.batches import to_network
from convergan.data.image_set import DataSet
from convergan.networks.build import build_discriminator
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.provenance import device_name
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import resolved_precision
from convergan.training.launch import launch
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.preparation import Preparation, image_shape, prepare
from measure import MatrixProduct, Task, Times, in_another_process, medians, settle, wait_for
from operations import discriminator_dtype, floor_seconds, step_operations
from peer_mnist import Peer
from rows import timing, write_rows

WARM_UP = 10


class _Enough(Exception):
    pass


class TakingTurns(Silent):
    """Times the loop's steps, and after each of them one call of every task."""

    def __init__(
        self,
        tasks: Mapping[str, Callable[[], object]],
        *,
        steps: int,
        warm_up: int,
        device: torch.device,
    ) -> None:
        self.tasks, self.steps, self.warm_up, self.device = tasks, steps, warm_up, device
        self._times: Times = {name: [] for name in ("ours", *tasks)}

    def begins_after(self, *_: object) -> None:
        """See `Observer`."""
        self._start = time.perf_counter()

    def steps_done(self, done: int, of: int) -> None:
        """See `Observer`."""
        self._note("ours")
        for name, task in self.tasks.items():
            task()
            self._note(name)
        if done == self.warm_up + self.steps:
            raise _Enough

    def times(self) -> Times:
        """Seconds after the warm-up."""
        return {name: values[self.warm_up :] for name, values in self._times.items()}

    def first_step(self) -> float:
        """Seconds of the first step, compilation included."""
        return self._times["ours"][0]

    def _note(self, name: str) -> None:
        wait_for(self.device)
        self._times[name].append(time.perf_counter() - self._start)
        settle(self.device)
        self._start = time.perf_counter()


def steps_of(
    make_peer: Callable[[], Peer], batches: tuple[Tensor, ...], device: torch.device
) -> Task:
    """A task: a step of the peer."""
    peer = make_peer()
    on_device = [batch.to(device) for batch in batches]

    def step() -> None:
        peer.step(*on_device)
        wait_for(device)

    return step


def compare_steps(
    recipe: Recipe,
    data: DataSet | None,
    make_peer: Callable[[], Peer],
    *,
    steps: int,
    warm_up: int = WARM_UP,
    device: Literal["cpu", "cuda"] = "cpu",
) -> dict[str, Any]:
    """What `timing` is told of one step: ours, the peer's, and the floor.

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
        recipe,
        baseline=False,
        min_steps_per_epoch=warm_up + steps + 1,
        hardware=replace(recipe.hardware, accelerator=device),
    )
    fabric = launch(recipe.hardware)
    preparation = prepare(recipe, data, processes=1)
    precision = resolved_precision(recipe.hardware, fabric.device)
    dtypes = {torch.float32, discriminator_dtype(precision)}
    products = {dtype: MatrixProduct(fabric.device, dtype) for dtype in dtypes}
    batches = batches_in_memory(preparation)
    with (
        in_another_process(partial(steps_of, make_peer, batches, fabric.device)) as peers_step,
        tempfile.TemporaryDirectory() as checkpoints,
        suppress(_Enough),
    ):
        turns = TakingTurns(
            {
                "peer": peers_step,
                **{str(dtype): product for dtype, product in products.items()},
            },
            steps=steps,
            warm_up=warm_up,
            device=fabric.device,
        )
        fit(
            fabric,
            recipe,
            preparation.split.training,
            checkpoints=Path(checkpoints),
            observer=turns,
            options=LoopOptions(checkpoint_every_seconds=float("inf")),
        )
    seconds = medians(turns.times())
    rates = {dtype: product.operations / seconds[str(dtype)] for dtype, product in products.items()}
    classes = len(preparation.data.classes)
    operations = step_operations(recipe, image_shape(preparation.data), classes)
    return {
        "device": device_name(fabric.device),
        "precision": precision,
        "times": turns.times(),
        "peer": "peer",
        "floor": floor_seconds(operations, precision, rates),
        "unit": "seconds",
        "repeats": steps,
        "compiled": recipe.hardware.compile,
        "first_step_seconds": round(turns.first_step(), 3),
        "gigaflop": round(sum(operations) / 1e9, 3),
        "matrix_product_gigaflops": {
            str(dtype).removeprefix("torch."): round(rate / 1e9) for dtype, rate in rates.items()
        },
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


def networks_range(preparation: Preparation) -> tuple[float, float]:
    """The range of pixels that a recipe's networks take."""
    shape, classes = image_shape(preparation.data), len(preparation.data.classes)
    return build_discriminator(preparation.recipe.networks, shape, classes).pixel_range


def print_row(row: dict[str, Any]) -> None:
    """One line for the terminal."""
    print(
        f"{row['device']}: ours {row['ours']:.4g} s, {row['times_floor']:.2f} times the floor of"
        f" {row['floor']:.4g} s; peer {row['peer']:.4g} s, ours {row['times_faster']:.2f} times as fast"
        f" (quartiles {row['times_faster_quartiles'][0]:.2f} to {row['times_faster_quartiles'][2]:.2f})"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """The arguments of a comparison of steps that say how it computes."""
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true")


def results_name(benchmark: str, arguments: argparse.Namespace) -> str:
    """The name of a comparison's results: each way to compute has a file of its own."""
    return "-".join(
        [
            benchmark,
            *(["cuda"] if arguments.device == "cuda" else []),
            *(["compiled"] if arguments.compile else []),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+")
    add_device(parser)
    arguments = parser.parse_args()
    most = torch.get_num_threads()
    recipe = PRESETS["mnist"]
    recipe = replace(
        recipe,
        data=replace(recipe.data, path=arguments.data),
        hardware=replace(recipe.hardware, compile=arguments.compile),
    )
    rows = []
    for threads in arguments.threads or (
        [most] if arguments.device == "cuda" else sorted({1, most})
    ):
        torch.set_num_threads(threads)
        rows.append(
            timing(
                claim="a training step takes at most 2.0 times its arithmetic, 2.5 times less than a peer's",
                setting="mnist, 100 labels, batch 100, one step of both players, baseline off",
                peer_name="plain PyTorch (benchmarks/peer_mnist.py), images in memory",
                **compare_steps(
                    recipe,
                    None,
                    partial(Peer, device=arguments.device),
                    steps=arguments.steps,
                    device=arguments.device,
                ),
            )
        )
        print_row(rows[-1])
    print(write_rows(results_name("mnist-step", arguments), rows))


if __name__ == "__main__":
    main()
