"""Epochs of a recipe beside its peer's and the floor, in turn."""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import torch

from comparison_command import add_device, print_row, results_name
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import device_name
from convergan.training.computation import resolved_precision
from convergan.training.launch import choose_device
from convergan.training.preparation import Preparation, image_shape, prepare
from epochs_in_turn import PeersEpochs, best_number, fit_in_turns, seconds_by_workers
from equal_terms import without_baseline
from measure import Enough, Times, interleaved_times, medians
from operations import (
    classifying_operations,
    floor_seconds,
    products_for,
    rates_of,
    step_operations,
)
from peer_mnist import Peer
from rows import timing, write_rows


def compare_epochs(
    recipe: Recipe,
    data: Path,
    make_peer: Callable[[], Peer],
    *,
    epochs: int,
    device: Literal["cpu", "cuda"] = "cpu",
) -> dict[str, Any]:
    """What `timing` is told of one epoch: ours, the peer's, and the floor."""
    recipe = without_baseline(recipe, data, device)
    torch.manual_seed(recipe.seed)
    chosen = choose_device(recipe.hardware)
    preparation = prepare(recipe, None, processes=1)
    by_workers = seconds_by_workers(make_peer(), data, preparation)
    workers = best_number(by_workers)
    peers = PeersEpochs(make_peer(), data, preparation, workers)
    precision = resolved_precision(recipe.hardware, chosen)
    products = products_for(precision, chosen)
    times: Times = {name: [] for name in ("ours", "peer", *products)}
    errors: dict[str, list[int]] = {"ours": [], "peer": []}

    def epoch_ended(epoch: int, seconds: float, line: EpochLine) -> None:
        of_peer = peers.run()
        for side, took, wrong in (("ours", seconds, line.test_errors), ("peer", *of_peer)):
            times[side].append(took)
            errors[side].append(wrong)
            print(f"epoch {epoch}, {side}: {took:.1f} s, {wrong} errors", flush=True)
        found = medians(interleaved_times(products, repeats=5, device=chosen))
        for name, took in found.items():
            times[name].append(took)
        if epoch == epochs:
            raise Enough

    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / "run")
        folder.begin(preparation.recipe, resume=False)
        fit_in_turns(chosen, preparation, folder, epoch_ended)
    seconds = medians(times)
    rates = rates_of(products, seconds)
    return {
        "device": device_name(chosen),
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
