"""Claim: the recipes of CIFAR-10 learn: a quarter of an hour each, 16 wide, on 2,000 images, on a CPU.

    python benchmarks/cifar10_reduced.py --cifar10 DIR [--recipes cifar10 cifar10-mb ...] [--minutes 15]
        [--images 2000] [--labels 400] [--width 16] [--threads 1] [--count 5000] [--classifier RUN]
        [--runs DIR]

Each run is stopped by SIGTERM after half of the minutes and resumed. Its errors on test images, as many as
are trained on, are compared with those of the supervised baseline. Its samples are scored by a classifier
of CIFAR-10 (unless one is given, the network of `folder`, trained on all labels for five minutes) and
compared with those of its generator after a single step. The full recipes are six times as wide and take
weeks of such a machine: this shows that they work, not what they reach. Recipes that have been trained are
not trained again.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from convergan import score
from convergan.files import cache_folder, make_folder
from convergan.json_files import read_json, write_json
from convergan.recipes.files import read_recipe
from convergan.scoring.settings import ScoreSettings
from harness.cells import timed, train
from harness.command_line import command_parser
from harness.pilots import step_seconds
from harness.rows import row, write_rows

RECIPES = ("cifar10", "cifar10-mb", "cifar10-samples", "cifar10-samples-mbf")

EPOCHS = 15


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--cifar10", type=Path, required=True, help="folder with parquet files")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--labels", type=int, default=400)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000, help="samples that are scored")
    parser.add_argument("--classifier", type=Path, help="run of a classifier of CIFAR-10")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/cifar10-reduced"))
    arguments = parser.parse_args()
    data = first_images(arguments.cifar10, arguments.images)
    classifier = arguments.classifier or trained_classifier(arguments)
    rows = []
    for name in arguments.recipes:
        results_file = arguments.runs / f"{name}.json"
        if not results_file.exists():
            write_json(results_file, rows_of(name, data, classifier, arguments))
        rows += read_json(results_file)
    for line in rows:
        print(
            f"{line['setting']}: {line['ours']:.4g} {line['unit']}, {line['peer_name']} {line['peer']:.4g}"
        )
    print(write_rows("cifar10-reduced", rows))


def first_images(source: Path, count: int) -> Path:
    """A folder with the first images of CIFAR-10's parquet files, in the same format."""
    folder = cache_folder() / "benchmarks" / f"cifar10-{count}"
    make_folder(folder)
    for file in sorted(source.glob("*.parquet")):
        pq.write_table(pq.read_table(file).slice(0, count), folder / file.name)
    return folder


def trained_classifier(arguments: argparse.Namespace) -> Path:
    """The run of a classifier of all labels."""
    out = arguments.runs / "classifier"
    if not (out / "results.json").exists():
        words = ["folder", "--data.source", "cifar10", "--data.path", arguments.cifar10]
        train([*words, "--no-baseline", "--minutes", 5], out, threads=arguments.threads)
    return out


def rows_of(
    name: str, data: Path, classifier: Path, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Errors and scores of one recipe."""
    words: list[object] = [name, "--data.path", data, "--labels", arguments.labels, "--baseline"]
    words += ["--networks.width", arguments.width]
    words += ["--networks.generator-width", 4 * arguments.width]
    run, untrained_run = arguments.runs / name, arguments.runs / f"{name}-1-steps"
    if not (run / "recipe.yaml").exists():
        begin(words, name, arguments)
    resume = [sys.executable, "-m", "convergan.cli", "train", "--from", run / "recipe.yaml"]
    resume += ["--out", run, "--resume"]
    timed(resume, run.with_suffix(".log"), threads=arguments.threads)
    results, steps = read_json(run / "results.json"), read_recipe(run / "recipe.yaml").steps
    setting = (
        f"{name}, {arguments.width} wide, {arguments.images:,} images, {arguments.labels} labels,"
        f" {steps:,} steps"
    )
    measured = {
        "device": results["device"],
        "precision": results["precision"],
        "repeats": 1,
        "train_seconds": results["train_seconds"],
    }
    scores = [
        score_of(scored_run, classifier, arguments.count) for scored_run in (run, untrained_run)
    ]
    return [
        row(
            claim="test errors, compared with those of the supervised baseline",
            setting=setting,
            ours=100 * results["test_errors"] / results["test_size"],
            peer=100 * results["baseline_test_errors"] / results["test_size"],
            peer_name="supervised baseline",
            unit="% test errors",
            **measured,
        ),
        row(
            claim="scores of its samples, compared with those of an untrained generator",
            setting=setting,
            ours=scores[0],
            peer=scores[1],
            peer_name="its generator after one step",
            unit="Inception score by a classifier of CIFAR-10",
            samples=arguments.count,
            **measured,
        ),
    ]


def begin(words: list[object], name: str, arguments: argparse.Namespace) -> None:
    """Time a step of a recipe, and train it for the steps that fit, up to half of the minutes."""

    def pilot(steps: int) -> float:
        out = arguments.runs / f"{name}-{steps}-steps"
        pilot_words = [*words, "--epochs", 1, "--steps", steps]
        return float(train(pilot_words, out, threads=arguments.threads)["train_seconds"])

    # The first training decodes the images. Its generator is the untrained one.
    pilot(1)
    steps = max(EPOCHS, round(60 * arguments.minutes / step_seconds(pilot)))
    command = [sys.executable, "-m", "convergan.cli", "train", *words, "--epochs", EPOCHS]
    command += ["--steps", steps, "--hardware.threads", arguments.threads]
    command += ["--out", arguments.runs / name]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    time.sleep(30 * arguments.minutes)
    process.send_signal(signal.SIGTERM)
    process.wait()


def score_of(run: Path, classifier: Path, count: int) -> float:
    """The Inception score of a run's samples."""
    result = score(run, metrics=["is"], classifier=classifier, settings=ScoreSettings(count=count))
    return result.numbers["Inception score"].value


if __name__ == "__main__":
    main()
