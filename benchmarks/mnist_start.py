"""Claim: five epochs of `mnist` with 100 labels end with less than two thirds of the first epoch's errors.

python benchmarks/mnist_start.py --data DIR [--runs DIR]
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.metrics import read_metrics
from convergan.training.run import RunOptions, train
from rows import row, write_rows


def measure(recipe: Recipe, out: Path, setting: str) -> dict[str, Any]:
    """One row: the errors after five epochs beside those after the first."""
    console = Console(quiet=True)
    results = train(recipe, out, options=RunOptions(resume=True), console=console)
    lines = read_metrics(out / "metrics.jsonl")
    errors = [line["test_errors"] for line in lines]
    distances = [line["losses"]["generator/feature_matching"] for line in lines]
    print(f"{setting}: {errors}, features' distance {[round(value, 2) for value in distances]}")
    return row(
        claim="less than two thirds of the first epoch's errors after five",
        setting=setting,
        device=results["device"],
        precision=results["precision"],
        ours=errors[-1],
        peer=errors[0],
        peer_name="after the first epoch",
        unit=f"errors of {results['test_size']}",
        repeats=1,
        share_of_peer=errors[-1] / errors[0],
        errors_by_epoch=errors,
        baseline_errors_by_epoch=[line["baseline_test_errors"] for line in lines],
        feature_matching_by_epoch=distances,
        trained_at_commit=results["git_commit"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    recipe = PRESETS["mnist"]
    recipe = replace(recipe, epochs=5, data=replace(recipe.data, path=arguments.data))
    networks = replace(recipe.networks, data_dependent_initialization=True)
    initialized = replace(recipe, networks=networks)
    setting = "mnist, 100 labels, seed 0, 5 epochs"
    rows = [
        measure(recipe, arguments.runs / "mnist-start", setting),
        measure(
            initialized,
            arguments.runs / "mnist-start-initialized",
            f"{setting}, gains initialized from data as in the authors' code",
        ),
    ]
    print(write_rows("mnist-start", rows))


if __name__ == "__main__":
    main()
