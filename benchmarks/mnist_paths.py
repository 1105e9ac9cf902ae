"""Claim: the fast path errs no more than the reference path: means over 3 seeds within a standard deviation.

    python benchmarks/mnist_paths.py --data DIR [--seeds 0 1 2] [--threads N] [--runs DIR]

The fast path is the recipe as it is (reduced precision where the device has units for it, noise from a bank),
its errors those after epoch 60 that `mnist_100` kept, on the device where it trained. The reference path is
the same recipe in 32 bits throughout and with all noise drawn afresh, stopped after epoch 60. On a CPU
without such units the noise is all that differs. Calls with single seeds can share the machine; the row is
made of the seeds of which both results/mnist-reference and results/mnist-100 have a run.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder, read_json
from convergan.runs.metrics import read_metrics
from convergan.training.launch import launch
from convergan.training.preparation import prepare
from mnist_100 import KEPT
from mnist_epoch import Enough, as_the_peer, fit_in_turns
from rows import RESULTS, row, write_rows

EPOCHS = 60
REFERENCE = RESULTS / "mnist-reference"


def train_reference(recipe: Recipe, run: Path) -> None:
    """Trains on the reference path up to `EPOCHS`, or goes on with it."""
    fabric = launch(recipe.hardware)
    preparation = prepare(recipe, None, processes=1)
    folder = RunFolder(run)
    folder.begin(preparation.recipe, resume=True)

    def epoch_ended(epoch: int, seconds: float, metrics: dict[str, Any]) -> None:
        print(f"seed {recipe.seed}, epoch {epoch}: {metrics['test_errors']} errors", flush=True)
        if epoch == EPOCHS:
            raise Enough

    fit_in_turns(fabric, preparation, folder, epoch_ended)


def errors_by_seed(folder: Path) -> dict[int, int]:
    """Averaged test errors after `EPOCHS` of each run whose metrics are kept in a folder."""
    found = {}
    for path in folder.glob("*-metrics.jsonl"):
        metrics = read_metrics(path)
        if len(metrics) >= EPOCHS:
            found[int(path.name.split("-")[0])] = metrics[EPOCHS - 1]["test_errors"]
    return found


def compared(reference: Path, fast: Path, epochs: int) -> dict[str, Any] | None:
    """The row of the seeds that both folders have, None of fewer than two; `epochs` are a whole run's."""
    by_seed = errors_by_seed(reference), errors_by_seed(fast)
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    if len(seeds) < 2:
        return None
    theirs, ours = ([errors[seed] for seed in seeds] for errors in by_seed)
    kept = [read_json(fast / f"{seed}-results.json") for seed in seeds]
    devices, precisions = ({each[name] for each in kept} for name in ("device", "precision"))
    differs = "the noise differs" if precisions == {"32-true"} else "precision and noise differ"
    difference, spread = mean(ours) - mean(theirs), stdev(theirs)
    return row(
        claim="the fast path errs as the reference path: means within a standard deviation",
        setting=f"mnist, 100 labels, after epoch {EPOCHS} of {epochs}; {differs}",
        device=", ".join(sorted(devices)),
        precision=", ".join(sorted(precisions)),
        ours=mean(ours),
        peer=mean(theirs),
        peer_name="32 bits throughout, noise drawn afresh",
        unit="errors of 10000",
        repeats=len(seeds),
        seeds=seeds,
        ours_by_seed=ours,
        peer_by_seed=theirs,
        ours_stdev=stdev(ours),
        peer_stdev=spread,
        difference_of_means=difference,
        within_a_standard_deviation=abs(difference) <= spread,
        fast_trained_at_commits=sorted(
            {commit for each in kept for commit in each["trained_at_commits"]}
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/mnist-reference"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    fast = as_the_peer(replace(PRESETS["mnist"], labels=100), arguments.data)
    hardware = replace(fast.hardware, precision="32-true", noise="fresh")
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        run = arguments.runs / str(seed)
        train_reference(replace(fast, seed=seed, hardware=hardware), run)
        shutil.copy(run / "metrics.jsonl", REFERENCE / f"{seed}-metrics.jsonl")
    found = compared(REFERENCE, KEPT, fast.epochs)
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
