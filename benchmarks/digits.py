"""Claim: on digits with 100 labels the GAN's mean error is at most 60 % of the supervised baseline's.

    python benchmarks/digits.py [--seeds 10] [--runs DIR]

Each seed draws its own labelled images, networks and noise. Runs continue where an earlier call stopped. A
second row, of half the seeds, has the noise of the paper's MNIST networks, which helps the baseline.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.training.run import RunOptions, train
from harness.command_line import command_parser
from harness.rows import row, write_rows

PAPERS_NOISE = {"input_noise": 0.3, "hidden_noise": 0.5}


def measure(name: str, recipe: Recipe, seeds: int, runs: Path) -> dict[str, Any]:
    """One row: a recipe over several seeds."""
    results = []
    for seed in range(seeds):
        results.append(
            train(
                replace(recipe, seed=seed),
                runs / f"{name}-{seed}",
                options=RunOptions(resume=True),
                console=Console(quiet=True),
            )
        )
        last = results[-1]
        print(
            f"{name}, seed {seed}: {last.test_errors} errors of {last.test_size}, "
            f"baseline {last.baseline_test_errors}, {last.train_seconds:.0f} s",
            flush=True,
        )
    errors = [result.test_errors for result in results]
    baseline = [result.baseline_test_errors for result in results]
    print(
        f"{name}: {mean(errors):.1f} of {mean(baseline):.1f}: {mean(errors) / mean(baseline):.0%}"
    )
    return row(
        claim="mean test errors at most 60 % of the supervised baseline's",
        setting=f"digits, 100 labels, {name}, seeds 0 to {seeds - 1}",
        device=results[0].device,
        precision=results[0].precision,
        ours=mean(errors),
        peer=mean(baseline),
        peer_name="supervised baseline",
        unit=f"errors of {results[0].test_size}",
        repeats=seeds,
        share_of_peer=mean(errors) / mean(baseline),
        ours_by_seed=errors,
        peer_by_seed=baseline,
        ours_stdev=stdev(errors),
        peer_stdev=stdev(baseline),
        train_seconds_by_seed=[round(result.train_seconds, 1) for result in results],
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/digits"))
    arguments = parser.parse_args()
    recipe = PRESETS["digits"]
    noisy = replace(recipe, networks=replace(recipe.networks, **PAPERS_NOISE))  # type: ignore[arg-type]
    rows = [
        measure("recipe-noise", recipe, arguments.seeds, arguments.runs),
        measure("paper-noise", noisy, (arguments.seeds + 1) // 2, arguments.runs),
    ]
    print(write_rows("digits-100", rows))


if __name__ == "__main__":
    main()
