"""Claim: samples with minibatch discrimination score higher, those with feature matching cover more.

    python benchmarks/mnist_samples.py --data DIR --feature-matching RUN --minibatch RUN --classifier RUN
        [--count 10000] [--images DIR]

The runs are finished ones, of the recipes `mnist` and `mnist-mb`; the classifier is one of `mnist` with
another seed. Each generator draws 10,000 images, which are scored as by `convergan score`: Inception score,
and precision and recall against MNIST's 10,000 test images, with 95 % intervals. With --images the last
samples that each run drew itself are copied to a folder, such as docs/images.
"""

import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from convergan.json_files import read_json
from convergan.networks.batches import device_of_process
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import device_name
from convergan.scoring.command import score_paths
from convergan.scoring.settings import ScoreFiles, ScoreSettings
from harness.command_line import command_parser
from harness.kept_runs import trained_at_commits
from harness.rows import row, write_rows

SCORES = {"is": ("Inception score",), "pr": ("precision", "recall")}


def scores(run: Path, classifier: Path, data: Path, count: int) -> dict[str, dict[str, Any]]:
    """Value, interval and fingerprint of each score of the images that a run's generator draws."""
    scored = score_paths(
        run,
        ScoreFiles(classifier=classifier, reference=data),
        ScoreSettings(metrics=tuple(SCORES), split="test", count=count),
        Console(quiet=True),
    )
    return {
        number.name: {
            "value": number.value,
            "interval": number.interval,
            "fingerprint": scored.fingerprints[metric],
        }
        for name, number in scored.numbers.items()
        if name in SCORES[metric := scored.metric_of[name]]
    }


def training(run: Path) -> dict[str, Any]:
    """Recipe, seed and commits of a run."""
    folder = RunFolder(run)
    results = read_json(folder.results)
    return {
        **{name: results[name] for name in ("recipe", "labels", "seed", "epochs")},
        "trained_at_commits": trained_at_commits(folder),
    }


def compare(
    generators: dict[str, Path], classifier: Path, data: Path, count: int
) -> list[dict[str, Any]]:
    """A row for each score of each of two generators, compared with the other."""
    by_generator = {name: scores(run, classifier, data, count) for name, run in generators.items()}
    rows = []
    for (name, run), rival in zip(generators.items(), reversed(generators), strict=True):
        trained = training(run)
        for score, measured in by_generator[name].items():
            rows.append(
                row(
                    claim="samples with minibatch discrimination score higher, those with feature"
                    " matching cover more",
                    setting=f"{name}: {trained['recipe']}, seed {trained['seed']}, epoch"
                    f" {trained['epochs']}; {count:,} images",
                    device=device_name(device_of_process()),
                    precision=measured["fingerprint"]["precision"],
                    ours=measured["value"],
                    peer=by_generator[rival][score]["value"],
                    peer_name=rival,
                    unit=score,
                    repeats=1,
                    interval=measured["interval"],
                    generator=trained,
                    classifier=training(classifier),
                    fingerprint=measured["fingerprint"],
                )
            )
            interval = measured["interval"]
            text = "no interval" if interval is None else "{:.3f} to {:.3f}".format(*interval)
            print(f"{name}, {score}: {measured['value']:.3f} ({text})")
    return rows


def copy_samples(run: Path, destination: Path) -> None:
    """Copy the last samples that a run drew itself."""
    shutil.copy(max(RunFolder(run).samples.glob("epoch-*.png")), destination)


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--feature-matching", type=Path, required=True, metavar="RUN")
    parser.add_argument("--minibatch", type=Path, required=True, metavar="RUN")
    parser.add_argument("--classifier", type=Path, required=True, metavar="RUN")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--images", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    generators = {
        "feature matching": arguments.feature_matching,
        "minibatch discrimination": arguments.minibatch,
    }
    if arguments.classifier.resolve() in {run.resolve() for run in generators.values()}:
        raise SystemExit(
            "--classifier: expected a run that trained neither generator, got"
            f" {arguments.classifier}"
        )
    if arguments.images and not arguments.images.is_dir():
        raise SystemExit(f"--images: expected a folder, got {arguments.images}")
    rows = compare(generators, arguments.classifier, arguments.data, arguments.count)
    print(write_rows("mnist-samples", rows))
    if arguments.images:
        for name, run in generators.items():
            copy_samples(run, arguments.images / f"mnist-{name.replace(' ', '-')}.png")


if __name__ == "__main__":
    main()
