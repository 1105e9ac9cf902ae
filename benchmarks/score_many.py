"""Claim: 50,000 images against 50,000 take at most 5 minutes and 4 GB after the network has seen them.

    python benchmarks/score_many.py [--images 50000] [--features 2048] [--classes 1008] [--threads 2]

It times `convergan score` of saved features from its start to its JSON: Inception score, FID, KID,
precision, recall, density and coverage with their intervals. Speed does not depend on the features, which
are random: normal numbers with falling variances, mixed and cut off at 0, those of the reference a little
apart. The memory is the peak of the process. On a machine that others use, CPU seconds over threads
estimate the time alone.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convergan.runs.provenance import device_name
from harness.cells import timed
from harness.command_line import command_parser
from harness.rows import row, write_rows

LIMIT_SECONDS = 300.0
LIMIT_BYTES = 4e9

_CHUNK = 5000


def write_random_features(
    path: Path, *, images: int, features: int, classes: int, seed: int, shift: float
) -> None:
    """Write features and logits as .npz, float32."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    scale = np.arange(1, features + 1, dtype=np.float32) ** -0.5
    mixing = fixed.normal(size=(features, features)).astype(np.float32)
    head = fixed.normal(size=(features, classes)).astype(np.float32) * 3 / features**0.5
    arrays = np.empty((images, features), np.float32), np.empty((images, classes), np.float32)
    for start in range(0, images, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, images))
        normal = rng.standard_normal((chunk.stop - start, features), dtype=np.float32) + shift
        arrays[0][chunk] = np.maximum((normal * scale) @ mixing, 0)
        arrays[1][chunk] = normal @ head
    np.savez(path, features=arrays[0], logits=arrays[1])


def measure(
    folder: Path, *, images: int, features: int, classes: int, threads: int
) -> dict[str, Any]:
    """Seconds, memory and numbers of one call."""
    files = folder / "images.npz", folder / "reference.npz"
    for seed, (path, shift) in enumerate(zip(files, (0.02, 0.0), strict=True)):
        write_random_features(
            path, images=images, features=features, classes=classes, seed=seed, shift=shift
        )
    out = folder / "scores.json"
    command = [sys.executable, "-m", "convergan.cli", "score", files[0], "--reference", files[1]]
    usage = timed([*command, "--features", "--json", out], folder / "log", threads=threads)
    scores = json.loads(out.read_text(encoding="utf-8"))["scores"]
    return {
        **usage,
        "scores": {score["name"]: [score["value"], score["interval"]] for score in scores},
    }


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=1008)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), **vars(arguments))
    seconds, peak = measured["wall_seconds"], measured["peak_bytes"]
    print(
        f"{seconds:.0f} s, {measured['cpu_seconds'] / arguments.threads:.0f} s of each thread's CPU,"
        f" {peak / 1e9:.2f} GB"
    )
    rows = [
        row(
            claim=f"after embedding at most {LIMIT_SECONDS:.0f} s and {LIMIT_BYTES / 1e9:.0f} GB",
            setting=(
                f"{arguments.images:,} against {arguments.images:,} images, {arguments.features:,} features,"
                f" {arguments.classes:,} classes, {arguments.threads} threads"
            ),
            device=device_name(torch.device("cpu")),
            precision="float32 and float64",
            ours=seconds,
            peer=LIMIT_SECONDS,
            peer_name="the limit that was set",
            times_faster=LIMIT_SECONDS / seconds,
            unit="seconds",
            repeats=1,
            cpu_seconds=measured["cpu_seconds"],
            peak_bytes=peak,
            limit_bytes=LIMIT_BYTES,
            scores=measured["scores"],
        )
    ]
    print(write_rows("score-many", rows))


if __name__ == "__main__":
    main()
