"""Claim: a linear head on a frozen, pretrained network learns a folder of photographs in seconds.

    python benchmarks/frozen_features.py --cifar10 DIR [--sizes 96 128 160] [--draws 3] [--test 1000]

Four classes of CIFAR-10 with 25 labels each, at each size that the network may see images in: errors on test
images, over draws of labels, and images a second of one thread. The peer is the smallest size.
"""

import argparse
import io
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import pyarrow.parquet
import torch
from PIL import Image

from convergan.data.batches import DeviceImages
from convergan.data.parquet import find_parquet
from convergan.data.training_data import TrainingData
from convergan.recipes.networks import PretrainedSettings
from convergan.recipes.presets import PRESETS
from convergan.training.classify import predicted_classes
from convergan.training.frozen import fit_frozen
from rows import row, write_rows

CLASSES = {0: "airplane", 3: "cat", 5: "dog", 8: "ship"}
LABELS_OF_CLASS = 25


def images_of(cifar10: Path, split: str, of_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 32, 32, 3] and classes, so many of each, drawn with a seed."""
    files = find_parquet(cifar10)[split]
    if not files:
        raise SystemExit(f"--cifar10: expected a folder with parquet files, got {cifar10}")
    table = pyarrow.parquet.read_table(files[0])
    known = np.array(table["label"])
    column = table["image" if "image" in table.column_names else "img"]
    generator = np.random.default_rng(seed)
    rows = np.concatenate(
        [generator.permutation(np.flatnonzero(known == each))[:of_class] for each in CLASSES]
    )
    pixels = (Image.open(io.BytesIO(column[int(index)].as_py()["bytes"])) for index in rows)
    images = np.stack([np.asarray(image.convert("RGB")) for image in pixels])
    return images, np.repeat(np.arange(len(CLASSES)), of_class)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 128, 160])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--test", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    test_images, test_labels = images_of(
        arguments.cifar10, "test", arguments.test // len(CLASSES), seed=0
    )
    test = DeviceImages(test_images, device, resident_bytes=10**9)
    rows, rates_of = [], {}
    for size in arguments.sizes:
        folder = PRESETS["folder"]
        recipe = replace(
            folder,
            networks=PretrainedSettings(size_px=size),
            data=replace(folder.data, flip=True),
        )
        rates, fit_seconds, test_seconds = [], [], []
        for draw in range(arguments.draws):
            images, labels = images_of(arguments.cifar10, "train", LABELS_OF_CLASS, seed=draw)
            everything = np.arange(len(images))
            data = TrainingData(
                images=images,
                labelled=everything,
                labels=labels,
                unlabelled=everything,
                validation=everything[:0],
                validation_labels=labels[:0],
                classes=tuple(CLASSES.values()),
            )
            start = time.process_time()
            fitted = fit_frozen(device, recipe, data)
            between = time.process_time()
            said = predicted_classes(fitted.discriminator, test, np.arange(len(test_images)))
            fit_seconds.append(between - start)
            test_seconds.append(time.process_time() - between)
            rates.append(float((said != test_labels).mean()))
        rates_of[size] = mean(rates)
        rows.append(
            row(
                claim="a linear head on a frozen network learns a folder of photographs in seconds",
                setting=f"CIFAR-10 (JPEG), {', '.join(CLASSES.values())}, {LABELS_OF_CLASS} labels each,"
                f" EfficientNet-Lite0 at {size} px",
                device="cpu, 1 thread",
                precision="32-true",
                ours=rates_of[size],
                peer=rates_of[arguments.sizes[0]],
                peer_name=f"the same at {arguments.sizes[0]} px",
                unit="error rate",
                repeats=arguments.draws,
                error_rates=rates,
                test_size=len(test_images),
                fit_processor_seconds=round(mean(fit_seconds), 2),
                images_per_processor_second=round(len(test_images) / mean(test_seconds), 1),
            )
        )
        print(f"{size} px: {rates_of[size]:.1%} {rows[-1]['fit_processor_seconds']} s", flush=True)
    print(write_rows("frozen-features", rows))


if __name__ == "__main__":
    main()
