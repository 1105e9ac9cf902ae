"""Claim: the fast path errs no more than the reference path: means over 3 seeds within a standard deviation.

    python benchmarks/mnist_paths.py --data DIR [--seeds 0 1 2] [--threads N] [--runs DIR]

The fast path is the recipe as it is (reduced precision where the device has units for it, noise from a bank).
The reference path is the same recipe in 32 bits throughout and with all noise drawn afresh. Both stop after
epoch 60; a seed that `mnist_100` kept is not trained on the fast path again: its errors after that epoch
count. Devices and commits are kept with the results, in results/mnist-reference/ and results/mnist-fast/. On
a CPU without such units the noise is all that differs. Calls with single seeds can share the machine; the row
is made of all seeds of which both paths have a run.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder, read_json
from convergan.runs.metrics import read_metrics
from convergan.training.computation import resolved_precision
from convergan.training.launch import launch
from convergan.training.manifest import write_manifest
from convergan.training.preparation import prepare
from epochs_in_turn import fit_in_turns
from equal_terms import as_the_peer
from kept_runs import commits_of, joined, keep, processes
from measure import Enough
from mnist_100 import KEPT
from rows import RESULTS, row, write_rows

EPOCHS = 60
REFERENCE = RESULTS / "mnist-reference"
FAST = RESULTS / "mnist-fast"
"""What is not in `KEPT` already."""


def train_to_the_epoch(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """Trains up to `EPOCHS`, or goes on with it; says how it was computed."""
    fabric = launch(recipe.hardware)

    def epoch_ended(epoch: int, seconds: float, metrics: dict[str, Any]) -> None:
        print(f"{run.path}, epoch {epoch}: {metrics['test_errors']} errors", flush=True)
        if epoch == EPOCHS:
            raise Enough

    preparation = prepare(recipe, None, processes=1)
    run.begin(preparation.recipe, resume=True)
    if len(read_metrics(run.metrics)) < EPOCHS:
        write_manifest(run, preparation, fabric)
        fit_in_turns(fabric, preparation, run, epoch_ended)
    return {
        "device": joined(process["device"] for process in processes(run)),
        "precision": resolved_precision(recipe.hardware, fabric.device),
        "noise": recipe.hardware.noise,
    }


def kept_by_seed(folder: Path) -> dict[int, dict[str, Any]]:
    """Results of each run that a folder keeps, with the averaged test errors after `EPOCHS`."""
    found = {}
    for path in folder.glob("*-results.json"):
        seed = path.name.split("-")[0]
        metrics = read_metrics(folder / f"{seed}-metrics.jsonl")
        if len(metrics) >= EPOCHS:
            found[int(seed)] = {**read_json(path), "errors": metrics[EPOCHS - 1]["test_errors"]}
    return found


def compared(
    of_reference: dict[int, dict[str, Any]], of_fast: dict[int, dict[str, Any]], epochs: int
) -> dict[str, Any] | None:
    """The row of the seeds that both paths have, None of fewer than two; `epochs` are a whole run's."""
    seeds = sorted(of_reference.keys() & of_fast.keys())
    if len(seeds) < 2:
        return None
    theirs, ours = ([kept[seed] for seed in seeds] for kept in (of_reference, of_fast))
    peer_errors, our_errors = ([run["errors"] for run in runs] for runs in (theirs, ours))
    precision = joined(run["precision"] for run in ours)
    differs = "the noise differs" if precision == "32-true" else "precision and noise differ"
    difference, spread = mean(our_errors) - mean(peer_errors), stdev(peer_errors)
    return row(
        claim="the fast path errs as the reference path: means within a standard deviation",
        setting=f"mnist, 100 labels, after epoch {EPOCHS} of {epochs}; {differs}",
        device=joined(run["device"] for run in ours),
        precision=precision,
        ours=mean(our_errors),
        peer=mean(peer_errors),
        peer_name="32 bits throughout, noise drawn afresh",
        unit="errors of 10000",
        repeats=len(seeds),
        seeds=seeds,
        ours_by_seed=our_errors,
        peer_by_seed=peer_errors,
        ours_stdev=stdev(our_errors),
        peer_stdev=spread,
        difference_of_means=difference,
        within_a_standard_deviation=abs(difference) <= spread,
        peer_device=[run["device"] for run in theirs],
        fast_trained_at_commits=commits_of(ours),
        reference_trained_at_commits=commits_of(theirs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = as_the_peer(replace(PRESETS["mnist"], labels=100), arguments.data)
    fast = replace(recipe.hardware, threads=arguments.threads)
    reference = replace(fast, precision="32-true", noise="fresh")
    for seed in arguments.seeds:
        for kept, hardware in ((REFERENCE, reference), (FAST, fast)):
            if kept == FAST and seed in kept_by_seed(KEPT):
                continue
            run = RunFolder(arguments.runs / kept.name / str(seed))
            results = train_to_the_epoch(replace(recipe, seed=seed, hardware=hardware), run)
            kept.mkdir(parents=True, exist_ok=True)
            keep(run, results, kept, seed)
    found = compared(
        kept_by_seed(REFERENCE), {**kept_by_seed(FAST), **kept_by_seed(KEPT)}, recipe.epochs
    )
    if found is None:
        print("a comparison needs two seeds with both paths")
        return
    print(
        f"seeds {found['seeds']}: fast {found['ours_by_seed']}, reference {found['peer_by_seed']};"
        f" means differ by {found['difference_of_means']:.1f}, the reference's standard deviation"
        f" is {found['peer_stdev']:.1f}"
    )
    print(write_rows("mnist-paths", [found]))


if __name__ == "__main__":
    main()
