"""Claim: a folder of images with few labels trains with no setting but its path.

    python benchmarks/folder.py --cifar10 DIR [--runs DIR]

Three classes of CIFAR-10, 20 labelled images of each and 300 unlabelled ones, written as PNG files. There is
no test folder, so that the labels are cross-validated in four folds: five trainings in all. 900 other
images tell whether the cross-validated error was right.
"""

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
from PIL import Image

from convergan.data.parquet import find_parquet
from convergan.runs.folder import RunFolder
from rows import row, write_rows

CLASSES = {1: "automobile", 4: "deer", 8: "ship"}
LABELLED, UNLABELLED, TEST = 20, 100, 300


def write_images(cifar10: Path, folder: Path) -> None:
    """images/<class>, images/unlabelled and, kept apart, test/<class>."""
    files = find_parquet(cifar10)["train"]
    if not files:
        raise SystemExit(f"--cifar10: expected a folder with parquet files, got {cifar10}")
    table = pyarrow.parquet.read_table(files[0])
    labels = np.array(table["label"])
    images = table["image" if "image" in table.column_names else "img"]
    generator = np.random.default_rng(0)
    for number, name in CLASSES.items():
        rows = generator.permutation(np.flatnonzero(labels == number))
        ends = np.cumsum([LABELLED, UNLABELLED, TEST])
        places = [
            folder / "images" / name,
            folder / "images" / "unlabelled",
            folder / "test" / name,
        ]
        for place, some in zip(places, np.split(rows, ends)[:3], strict=True):
            place.mkdir(parents=True, exist_ok=True)
            for index in some:
                image = Image.open(io.BytesIO(images[int(index)].as_py()["bytes"]))
                image.save(place / f"{name}-{index:05d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    out = arguments.runs / "folder"
    if out.exists():
        raise SystemExit(f"--runs: expected a folder where no such run is yet, got {out}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images(arguments.cifar10, folder)
        convergan = [sys.executable, "-m", "convergan.cli"]
        command = ["train", "folder", "--data.path", str(folder / "images"), "--out", str(out)]
        start = time.perf_counter()
        subprocess.run([*convergan, *command], check=True)
        seconds = time.perf_counter() - start
        predictions = folder / "predictions.csv"
        subprocess.run(
            [*convergan, "predict", str(out), str(folder / "test"), "--out", str(predictions)],
            check=True,
        )
        with predictions.open() as file:
            said = [
                (Path(line["path"]).parent.name, line["label"]) for line in csv.DictReader(file)
            ]
        samples = arguments.runs / "folder-samples"
        subprocess.run(
            [*convergan, "sample", str(out), "--count", "100", "--out", str(samples)], check=True
        )
    results = RunFolder(out).read_results()
    assert results is not None
    wrong = sum(true != label for true, label in said) / len(said)
    path = write_rows(
        "folder",
        [
            row(
                claim="a folder of 32x32 images trains with no setting but its path",
                setting="CIFAR-10 (JPEG), 3 classes, 20 labels each, 300 unlabelled, 4 folds",
                device=results.device,
                precision=results.precision,
                ours=results.test_error_rate,
                peer=results.baseline_test_error_rate,
                peer_name="supervised baseline",
                unit="cross-validated error rate",
                repeats=1,
                interval=results.test_interval,
                decision=results.decision,
                error_rate_on_900_other_images=wrong,
                whole_command_seconds=round(seconds),
            )
        ],
    )
    print(f"cross-validated {results.test_error_rate:.1%}, on other images {wrong:.1%}; {path}")


if __name__ == "__main__":
    main()
