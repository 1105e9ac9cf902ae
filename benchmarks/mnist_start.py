"""Claim: five epochs of `mnist` with 100 labels end with less than two thirds of the first epoch's errors.

python benchmarks/mnist_start.py --data DIR [--runs DIR]
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from convergan.recipes.presets import PRESETS
from convergan.runs.metrics import read_metrics
from convergan.training.run import RunOptions, train
from rows import row, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    recipe = PRESETS["mnist"]
    recipe = replace(recipe, epochs=5, data=replace(recipe.data, path=arguments.data))
    out = arguments.runs / "mnist-start"
    console = Console(quiet=True)
    results = train(recipe, out, options=RunOptions(resume=True), console=console)
    lines = read_metrics(out / "metrics.jsonl")
    errors = [line["test_errors"] for line in lines]
    path = write_rows(
        "mnist-start",
        [
            row(
                claim="less than two thirds of the first epoch's errors after five",
                setting="mnist, 100 labels, seed 0, 5 epochs",
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
            )
        ],
    )
    print(f"{errors}; {path}")


if __name__ == "__main__":
    main()
