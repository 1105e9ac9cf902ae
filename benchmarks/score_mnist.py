"""Claim: real MNIST images score 9.5 to 10, images without meaning far less, copies of one image exactly 1.

    python benchmarks/score_mnist.py --data DIR [--epochs 12] [--runs DIR] [--threads N]

The classifier is that of the recipe `mnist` with all 60,000 labels; the training continues where an earlier
call stopped. It scores the 10,000 test images, the same with the pixels of each permuted, and 100 copies of
one image, all by the paper's protocol. Images of permuted pixels are unknown to the classifier; they would
score 1 if it gave the same answer to all of them. It does not: their brightness differs, and far from its
training images it is certain of any answer; the JSON has its mean confidence.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from convergan.data.image_stream import open_image_stream, stream_of_array
from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.metric import estimate
from convergan.recipes.presets import PRESETS
from convergan.runs.provenance import device_name
from convergan.scoring.embedding import Embedding, embed
from convergan.scoring.networks import run_embedding
from convergan.training.run import RunOptions, train
from harness.command_line import command_parser
from harness.rows import row, write_rows


def scores(images: np.ndarray, embedding: Embedding) -> dict[str, Any]:
    """The score of uint8 images [n, height, width, 1], and how certain the classifier is of its classes."""
    logits = embed(embedding, stream_of_array("images", images)).images
    (number,) = estimate(InceptionScoreMetric(), logits, None, seed=0)
    probabilities = logits.logits.double().softmax(dim=1)
    return {
        "score": number.value,
        "interval": number.interval,
        "stdev_over_splits": number.stdev,
        "mean_confidence": float(probabilities.max(dim=1).values.mean()),
        "classes": [round(share, 4) for share in probabilities.mean(dim=0).tolist()],
    }


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    recipe = PRESETS["mnist"]
    run = arguments.runs / "mnist-all-labels"
    results = train(
        replace(
            recipe,
            labels=None,
            epochs=arguments.epochs,
            baseline=False,
            data=replace(recipe.data, path=arguments.data),
            hardware=replace(recipe.hardware, threads=arguments.threads),
        ),
        run,
        options=RunOptions(resume=True),
        console=Console(quiet=True),
    )
    embedding = run_embedding(run)
    stream = open_image_stream(arguments.data, split="test")
    images = np.stack(list(stream.decoded(1, None, slice(None))))  # type: ignore[arg-type]
    permuted = np.random.default_rng(0).permuted(images.reshape(len(images), -1), axis=1)
    sets = {
        "real": images,
        "permuted pixels": permuted.reshape(images.shape),
        "copies of one image": np.repeat(images[:1], 100, axis=0),
    }
    by_set = {name: scores(pixels, embedding) for name, pixels in sets.items()}
    for name, result in by_set.items():
        print(f"{name}: {result['score']:.6f}, mean confidence {result['mean_confidence']:.3f}")
    path = write_rows(
        "score-mnist",
        [
            row(
                claim="real images score 9.5 to 10, images without meaning far less, copies 1",
                setting=f"MNIST's test images, `mnist` with {results.labels:,} labels, "
                f"{arguments.epochs} epochs, {results.test_errors} errors",
                device=device_name(torch.device("cpu")),
                precision=results.precision,
                ours=by_set["real"]["score"],
                peer=by_set["permuted pixels"]["score"],
                peer_name="permuted pixels",
                unit="Inception score",
                repeats=1,
                sets=by_set,
            )
        ],
    )
    print(path)


if __name__ == "__main__":
    main()
