"""Claim: which weight of historical averaging `cifar10-samples-l-ha` does best with, at reduced width.

    python benchmarks/historical_averaging.py --data DIR --classifier RUN [--weights 0 .01 .1 1]
        [--seeds 0 1 2] [--width 16] [--steps 3000] [--count 10000] [--runs DIR]

Trains the recipe, without labels and with historical averaging, with each weight and seed, and scores samples
of each by a classifier of CIFAR-10 that another run trained: the Inception score of its classes. It goes on
where an earlier call left off. Beside each weight stands 0, which is `cifar10-samples-l`. A weight is better
than another only if the seeds say so: look at their spread.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean

from rich.console import Console

from convergan import score
from convergan.networks.batches import device_of_process
from convergan.recipes.cifar10_samples import NETWORKS
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import HistoricalAveragingSettings
from convergan.runs.provenance import device_name
from convergan.scoring.settings import ScoreSettings
from convergan.training.run import RunOptions, train
from rows import row, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.01, 0.1, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/historical-averaging"))
    arguments = parser.parse_args()
    recipe = PRESETS["cifar10-samples-l-ha"]
    generator_width = max(4, 512 * arguments.width // 96)
    networks = replace(NETWORKS, width=arguments.width, generator_width=generator_width)
    recipe = replace(
        recipe,
        steps=arguments.steps,
        epochs=min(recipe.epochs, arguments.steps),
        data=replace(recipe.data, path=arguments.data),
        networks=networks,
    )
    found = {
        weight: [
            score_of(with_weight(replace(recipe, seed=seed), weight), arguments)
            for seed in arguments.seeds
        ]
        for weight in sorted({0.0, *arguments.weights})
    }
    rows = [
        row(
            claim="the weight of historical averaging in place of labels",
            setting=f"cifar10-samples-l-ha, width {arguments.width}, {arguments.steps:,} steps,"
            f" weight {weight:g}; {arguments.count:,} samples",
            device=device_name(device_of_process()),
            precision="fp32",
            ours=mean(scores),
            peer=mean(found[0.0]),
            peer_name="no historical averaging",
            unit="Inception score by a classifier of CIFAR-10",
            repeats=len(scores),
            seeds=arguments.seeds,
            ours_by_seed=scores,
            peer_by_seed=found[0.0],
        )
        for weight, scores in found.items()
    ]
    for each in rows:
        print(f"{each['setting']}: {each['ours']:.3f}, by seed {each['ours_by_seed']}")
    print(write_rows("historical-averaging", rows))


def with_weight(recipe: Recipe, weight: float) -> Recipe:
    """The recipe with another weight of historical averaging."""
    settings = HistoricalAveragingSettings(weight=weight)
    return replace(recipe, objective=replace(recipe.objective, historical_averaging=settings))


def score_of(recipe: Recipe, arguments: argparse.Namespace) -> float:
    """The score of a recipe's samples, by a run that is trained to its end first."""
    weight = recipe.objective.historical_averaging.weight
    run = arguments.runs / f"weight-{weight:g}-seed-{recipe.seed}"
    train(recipe, run, options=RunOptions(resume=True), console=Console(quiet=True))
    settings = ScoreSettings(count=arguments.count, replicates=0)
    found = score(run, metrics=["is"], classifier=arguments.classifier, settings=settings)
    return found.numbers["Inception score"].value


if __name__ == "__main__":
    main()
