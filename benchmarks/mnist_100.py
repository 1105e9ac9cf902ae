"""Claim: `mnist` with 100 labels makes at most 105 errors of 10,000 on average, far fewer than the baseline.

    python benchmarks/mnist_100.py --data DIR [--seeds 0 1 2 3 4] [--threads N] [--runs DIR]

Each seed draws its own labelled images, networks and noise. Runs continue where an earlier call stopped:
several calls, each with some of the seeds, can share the machine, and one call with all of them makes the
row at the end. The results of each seed, with the commits of all processes that trained it, are kept in
results/mnist-100/.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from convergan.json_files import read_json
from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder
from convergan.training.run import RunOptions, train
from harness.command_line import command_parser
from harness.kept_runs import MNIST_100, KeptRun, commits_by_run, joined, keep, kept_runs
from harness.rows import row, write_rows


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/mnist-100"))
    arguments = parser.parse_args()
    recipe = PRESETS["mnist"]
    recipe = replace(
        recipe,
        labels=100,
        data=replace(recipe.data, path=arguments.data),
        hardware=replace(recipe.hardware, threads=arguments.threads),
    )
    for seed in arguments.seeds:
        train(
            replace(recipe, seed=seed),
            arguments.runs / str(seed),
            options=RunOptions(resume=True),
            console=Console(quiet=True),
        )
    # Not before: a run's manifest says whether its working tree was changed.
    for seed in arguments.seeds:
        folder = RunFolder(arguments.runs / str(seed))
        keep(folder, read_json(folder.results), MNIST_100, seed)
    runs = kept_runs(MNIST_100)
    measured = row_of({seed: runs[seed] for seed in arguments.seeds}, recipe.epochs)
    print(
        f"seeds {measured['seeds']}: {measured['ours_by_seed']}, mean {measured['ours']:.1f};"
        f" baseline {measured['peer_by_seed']}, mean {measured['peer']:.0f}"
    )
    print(write_rows("mnist-100", [measured]))


def row_of(runs: dict[int, KeptRun], epochs: int) -> dict[str, Any]:
    """The row of these seeds' runs, each of so many epochs."""
    results = [run.results for run in runs.values()]
    errors = [result["test_errors"] for result in results]
    baseline = [result["baseline_test_errors"] for result in results]
    return row(
        claim="at most 105 errors of 10,000 on average, at most 150 epochs",
        setting=f"mnist, 100 labels, {epochs} epochs, {len(results)} seeds",
        device=joined(result["device"] for result in results),
        precision=joined(result["precision"] for result in results),
        ours=mean(errors),
        peer=mean(baseline),
        peer_name="supervised baseline",
        unit="errors of 10000",
        repeats=len(results),
        seeds=list(runs),
        ours_by_seed=errors,
        peer_by_seed=baseline,
        ours_stdev=stdev(errors) if len(errors) > 1 else None,
        trained_at_commits_by_seed=commits_by_run(runs.values()),
    )


if __name__ == "__main__":
    main()
