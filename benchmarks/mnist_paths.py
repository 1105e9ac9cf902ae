"""Claim: the fast path is as accurate as the reference path: means over 3 seeds within a standard deviation.

    python benchmarks/mnist_paths.py --data DIR [--seeds 0 1 2] [--threads N] [--device cuda] [--kept]

The fast path is the recipe as it is (reduced precision where the device has units for it, noise from a
bank). The reference path is the same recipe in 32 bits throughout and with all noise drawn afresh. Both
stop after epoch 60. On a CPU without units for reduced precision they differ in the noise alone. Results,
devices and commits are kept in results/mnist-fast-path/ and results/mnist-reference-path/. Runs, in --runs
DIR, continue where an earlier call stopped: several calls, each with some of the seeds, can share the
machine, and one call with all of them makes the row at the end.

With --kept, the runs in results/ that such a device trained count too, for the fast path also the complete
runs of `mnist_100`. They are not trained again, and the row is of all seeds for which there are both paths.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.epochs import EpochLine
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.training.computation import resolved_precision, uses_noise_bank
from convergan.training.launch import choose_device
from convergan.training.manifest import write_manifest
from convergan.training.preparation import prepare
from harness.command_line import command_parser
from harness.epochs_in_turn import fit_in_turns
from harness.equal_terms import without_baseline
from harness.kept_runs import MNIST_100, KeptRun, commits_by_run, joined, keep, kept_runs, processes
from harness.measure import Enough
from harness.rows import RESULTS, row, write_rows

EPOCHS = 60
FAST, REFERENCE = RESULTS / "mnist-fast-path", RESULTS / "mnist-reference-path"
"""Runs that a CPU trained; those of a GPU are in folders whose names end in -cuda."""


def train_to_the_epoch(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """Train up to `EPOCHS`, or continue; return device, precision and noise."""
    device = choose_device(recipe.hardware)

    def epoch_ended(epoch: int, seconds: float, line: EpochLine) -> None:
        print(f"{run.path}, epoch {epoch}: {line.test_errors} errors", flush=True)
        if epoch == EPOCHS:
            raise Enough

    preparation = prepare(recipe, None, processes=1)
    run.begin(preparation.recipe, resume=True)
    if len(read_metrics(run.metrics)) < EPOCHS:
        write_manifest(run, preparation, device)
        fit_in_turns(device, preparation, run, epoch_ended)
    return {
        "device": joined(process["device"] for process in processes(run)),
        "precision": resolved_precision(recipe.hardware, device),
        "noise": "bank" if uses_noise_bank(recipe.hardware, device) else "fresh",
    }


def usable(folder: Path, device: str) -> dict[int, KeptRun]:
    """The runs that a folder keeps, by seed, which were long enough and trained on such a device."""
    return {
        seed: run
        for seed, run in kept_runs(folder).items()
        if len(run.errors) >= EPOCHS
        and run.results["device"].startswith("cpu") == (device == "cpu")
    }


def compared(fast: dict[int, KeptRun], reference: dict[int, KeptRun]) -> dict[str, Any] | None:
    """The row of the seeds that both paths have, None of fewer than two."""
    seeds = sorted(fast.keys() & reference.keys())
    if len(seeds) < 2:
        return None
    fast_runs, reference_runs = ([runs[seed] for seed in seeds] for runs in (fast, reference))
    our_errors, peer_errors = (
        [run.errors[EPOCHS - 1] for run in runs] for runs in (fast_runs, reference_runs)
    )
    precision = joined(run.results["precision"] for run in fast_runs)
    differ = [
        name
        for name, differs in (
            ("precision", precision != "32-true"),
            # The bank is for CPUs.
            ("noise", all(run.results["device"].startswith("cpu") for run in fast_runs)),
        )
        if differs
    ]
    difference, spread = mean(our_errors) - mean(peer_errors), stdev(peer_errors)
    return row(
        claim="the fast path errs as the reference path: means within a standard deviation",
        setting=f"mnist, 100 labels, after epoch {EPOCHS}; different: {', '.join(differ)}",
        device=joined(run.results["device"] for run in fast_runs),
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
        peer_device_by_seed=[run.results["device"] for run in reference_runs],
        trained_at_commits_by_seed=commits_by_run(fast_runs),
        peer_trained_at_commits_by_seed=commits_by_run(reference_runs),
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--kept", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = replace(PRESETS["mnist"], labels=100)
    recipe = without_baseline(recipe, arguments.data, arguments.device)
    fast = replace(recipe.hardware, threads=arguments.threads)
    reference = replace(fast, precision="32-true", noise="fresh")

    suffix = "" if arguments.device == "cpu" else f"-{arguments.device}"
    fast_folder, reference_folder = (
        folder.with_name(folder.name + suffix) for folder in (FAST, REFERENCE)
    )

    def found_in(folder: Path) -> dict[int, KeptRun]:
        runs = usable(folder, arguments.device)
        if not arguments.kept:
            return {seed: runs[seed] for seed in arguments.seeds if seed in runs}
        return {**runs, **usable(MNIST_100, arguments.device)} if folder == fast_folder else runs

    trained = []
    for seed in arguments.seeds:
        for folder, hardware in ((fast_folder, fast), (reference_folder, reference)):
            if arguments.kept and seed in found_in(folder):
                continue
            run = RunFolder(arguments.runs / folder.name / str(seed))
            results = train_to_the_epoch(replace(recipe, seed=seed, hardware=hardware), run)
            trained.append((run, results, folder, seed))
    # Not before: a run's manifest says whether its working tree was changed.
    for run, results, folder, seed in trained:
        keep(run, results, folder, seed)
    measured = compared(found_in(fast_folder), found_in(reference_folder))
    if measured is None:
        print("a comparison needs two seeds with both paths")
        return
    print(
        f"seeds {measured['seeds']}: fast {measured['ours_by_seed']}, reference {measured['peer_by_seed']};"
        f" means differ by {measured['difference_of_means']:.1f}, the reference's standard deviation"
        f" is {measured['peer_stdev']:.1f}"
    )
    print(write_rows("mnist-paths", [measured]))


if __name__ == "__main__":
    main()
