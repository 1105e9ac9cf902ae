"""Comparison of an epoch, with data, evaluation and checkpoints, with the peer's.

    python benchmarks/epoch.py --recipe mnist|cifar10 --data DIR [--epochs 3] [--threads N ...]
        [--device cuda] [--compile off|on|both]

On a GPU an epoch of `cifar10` should take at most 3 seconds; a CPU needs an hour. Ours is what `train` does
without a baseline: the loop, its checkpoints, tests of both networks on the test images, metrics. The peer
(`harness/peers`) decodes its images in a `DataLoader` and tests its EMA weights. The two take turns,
one epoch each; the peer has a process of its own. Before that, a tenth of an epoch with 0, 1, 2, 4 ...
decoding processes, up to one for each core, decides how many the peer has. The floor is the arithmetic of
the steps, and of testing one network, at the rate of a large matrix product.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import torch

from convergan.recipes.settings import Recipe
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import device_name
from convergan.training.computation import resolved_precision
from convergan.training.launch import choose_device
from convergan.training.preparation import Preparation, image_shape, prepare
from harness.another_process import called_in_another_process
from harness.comparison_command import (
    comparison_parser,
    peer_of,
    print_row,
    recipes_of,
    results_name,
)
from harness.epochs_in_turn import PeersEpochs, best_number, fit_in_turns, seconds_by_workers
from harness.equal_terms import without_baseline
from harness.measure import Enough, Times, interleaved_times, medians
from harness.operations import (
    classifying_operations,
    floor_seconds,
    products_for,
    rates_of,
    step_operations,
)
from harness.peers.mnist import Peer
from harness.rows import timing, write_rows


def epochs_of(
    make_peer: Callable[[], Peer], data: Path, recipe: Recipe, workers: int
) -> Callable[[], tuple[float, int]]:
    """A function that runs an epoch of the peer and returns its seconds and the errors after it."""
    torch.manual_seed(recipe.seed)
    return PeersEpochs(make_peer(), data, prepare(recipe, None, processes=1), workers).run


def compare_epochs(
    recipe: Recipe,
    data: Path,
    make_peer: Callable[[], Peer],
    *,
    epochs: int,
    device: Literal["cpu", "cuda"] = "cpu",
) -> dict[str, Any]:
    """Arguments of `timing` for one epoch: ours, the peer's, and the floor; `make_peer` can be pickled."""
    recipe = without_baseline(recipe, data, device)
    torch.manual_seed(recipe.seed)
    torch_device = choose_device(recipe.hardware)
    preparation = prepare(recipe, None, processes=1)
    by_workers = seconds_by_workers(make_peer(), data, preparation)
    workers = best_number(by_workers)
    precision = resolved_precision(recipe.hardware, torch_device, recipe.networks)
    products = products_for(precision, torch_device)
    times: Times = {name: [] for name in ("ours", "peer", *products)}
    errors: dict[str, list[int]] = {"ours": [], "peer": []}
    make_epochs = partial(epochs_of, make_peer, data, recipe, workers)
    with (
        called_in_another_process(make_epochs) as peers_epoch,
        tempfile.TemporaryDirectory() as temporary,
    ):

        def epoch_ended(epoch: int, seconds: float, line: EpochLine) -> None:
            peer_epoch = peers_epoch()
            for side, took, wrong in (("ours", seconds, line.test_errors), ("peer", *peer_epoch)):
                times[side].append(took)
                errors[side].append(wrong)
                print(f"epoch {epoch}, {side}: {took:.1f} s, {wrong} errors", flush=True)
            product_seconds = medians(interleaved_times(products, repeats=5, device=torch_device))
            for name, took in product_seconds.items():
                times[name].append(took)
            if epoch == epochs:
                raise Enough

        folder = RunFolder(Path(temporary) / "run")
        folder.begin(preparation.recipe, resume=False)
        fit_in_turns(torch_device, preparation, folder, epoch_ended)
    rates = rates_of(products, medians(times))
    return {
        "device": device_name(torch_device),
        "precision": precision,
        "times": times,
        "peer": "peer",
        "floor": floor_of_epoch(preparation, precision, rates),
        "unit": "seconds",
        "repeats": epochs,
        "compiled": recipe.hardware.compile,
        "ours_by_epoch": [round(value, 2) for value in times["ours"]],
        "peer_by_epoch": [round(value, 2) for value in times["peer"]],
        "ours_test_errors_by_epoch": errors["ours"],
        "peer_test_errors_by_epoch": errors["peer"],
        "peer_workers": workers,
        "peer_seconds_of_a_tenth_by_workers": {
            number: round(value, 2) for number, value in by_workers.items()
        },
    }


def floor_of_epoch(
    preparation: Preparation,
    precision: Literal["32-true", "bf16-mixed"],
    rates: Mapping[torch.dtype, float],
) -> float:
    """Seconds that the arithmetic of an epoch's steps takes, and of testing one network."""
    recipe, split = preparation.recipe, preparation.split
    assert split.test is not None
    sizes = image_shape(preparation.data), len(preparation.data.classes)
    steps = ceil(len(split.training.unlabelled) / recipe.batch_size)
    training = floor_seconds(step_operations(recipe, *sizes), precision, rates)
    testing = len(split.test) * classifying_operations(recipe, *sizes) / rates[torch.float32]
    return steps * training + testing


def main() -> None:
    parser = comparison_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data: expected a folder of parquet files, got none")
    name = arguments.recipe
    rows: list[dict[str, Any]] = []
    for recipe in recipes_of(arguments):
        for threads in arguments.threads or [torch.get_num_threads()]:
            torch.set_num_threads(threads)
            compared = compare_epochs(
                recipe,
                arguments.data,
                peer_of(arguments),
                epochs=arguments.epochs,
                device=arguments.device,
            )
            rows.append(
                timing(
                    claim="an epoch, with data, evaluation and checkpoints, beside the peer's",
                    setting=f"{name}, {recipe.labels:,} labels, batch {recipe.batch_size}, baseline off",
                    peer_name=f"plain PyTorch (benchmarks/harness/peers/{name}.py), DataLoader",
                    **compared,
                )
            )
            print_row(rows[-1])
            path = write_rows(results_name("epoch", arguments), rows)
    print(path)


if __name__ == "__main__":
    main()
