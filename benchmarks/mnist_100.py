"""Claim: `mnist` with 100 labels makes at most 105 errors of 10,000 on average, far fewer than the baseline.

    python benchmarks/mnist_100.py --data DIR [--seeds 0 1 2 3 4] [--threads N] [--runs DIR]

Each seed draws its own labelled images, networks and noise. Runs go on where an earlier call left off, so
several calls with other seeds can share the machine; each seed's results, with the commits of all processes
that trained it, are kept in results/mnist-100/, and the row is made of all that are there.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from rich.console import Console

from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder, read_json
from convergan.training.run import RunOptions, train
from kept_runs import keep
from rows import RESULTS, row, write_rows

KEPT = RESULTS / "mnist-100"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
    KEPT.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        run = arguments.runs / str(seed)
        train(
            replace(recipe, seed=seed),
            run,
            options=RunOptions(resume=True),
            console=Console(quiet=True),
        )
        folder = RunFolder(run)
        keep(folder, read_json(folder.results), KEPT, seed)
    results = [read_json(path) for path in sorted(KEPT.glob("*-results.json"))]
    epochs = {result["epochs"] for result in results}
    if epochs != {recipe.epochs}:
        raise SystemExit(f"{KEPT}: expected runs of {recipe.epochs} epochs, got {sorted(epochs)}")
    ours = [result["test_errors"] for result in results]
    baseline = [result["baseline_test_errors"] for result in results]
    seeds = [result["seed"] for result in results]
    print(
        f"seeds {seeds}: {ours}, mean {mean(ours):.1f}; baseline {baseline}, mean {mean(baseline):.0f}"
    )
    path = write_rows(
        "mnist-100",
        [
            row(
                claim="at most 105 errors of 10,000 on average, at most 150 epochs",
                setting=f"mnist, 100 labels, {recipe.epochs} epochs, {len(seeds)} seeds",
                device=results[0]["device"],
                precision=results[0]["precision"],
                ours=mean(ours),
                peer=mean(baseline),
                peer_name="supervised baseline",
                unit="errors of 10000",
                repeats=len(seeds),
                seeds=seeds,
                ours_by_seed=ours,
                peer_by_seed=baseline,
                ours_stdev=stdev(ours) if len(ours) > 1 else None,
                trained_at_commits=sorted(
                    {commit for result in results for commit in result["trained_at_commits"]}
                ),
            )
        ],
    )
    print(path)


if __name__ == "__main__":
    main()
