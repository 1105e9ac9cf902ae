"""Prediction of 60,000 image files, and of images in memory, compared with a DataLoader.

    python benchmarks/predict.py --data DIR [--folder DIR] [--repeats 5] [--threads N]

The images are MNIST's, as 60,000 PNG files of 28x28 pixels; the network is that of the recipe `mnist`, with
weights as they are before training. Ours is what `convergan predict` does: it reads the files and writes a
CSV file. The peer opens each with Pillow in a Dataset, under torch's DataLoader in batches of the same
size, and ends with the same network's probabilities in memory; the best number of worker processes counts.
All files are in the system's cache. Both sides run in one process, in turn. Goal: at least four times as
fast as the peer. Outcome: not reached, on two cores about three times (docs/notes/variation.md).

A second row is `classify`, which takes images in memory by index, as training does when it tests. The peer
is a Dataset that gives one image at a time, in batches of the same size. There most of the time is the
network's. The floor is its arithmetic at the rate of a large matrix product.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convergan.data.batches import DeviceImages
from convergan.data.parquet import find_parquet
from convergan.images.read_images import read_images
from convergan.inference.predict import batches_of_files, predict
from convergan.inference.predict_csv import predict_to_csv
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.classification import batch_size
from convergan.networks.interface import Discriminator
from convergan.recipes.presets import PRESETS
from convergan.runs.folder import RunFolder
from convergan.runs.model import ModelConfig, load_classifier, save_model
from convergan.runs.provenance import device_name
from convergan.training.classify import classify
from harness.command_line import command_parser
from harness.equal_terms import WORKERS
from harness.measure import MatrixProduct, Task, interleaved_times, medians
from harness.rows import timing, write_rows

SHAPE = (1, 28, 28)


class Files(Dataset[Tensor]):
    """Image files, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.rglob("*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            return as_network_takes_it(np.array(image.convert("L"))[..., None])


class InMemory(Dataset[Tensor]):
    """Images in memory, one at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return as_network_takes_it(self.images[index])


def as_network_takes_it(image: np.ndarray) -> Tensor:
    """uint8 [height, width, channels] to float [channels, height, width], 0 to 1."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


@torch.no_grad()
def under_data_loader(
    network: Discriminator, images: Dataset[Tensor], batch_size: int, workers: int
) -> Tensor:
    """Probabilities [images, classes]."""
    loader = DataLoader(images, batch_size=batch_size, num_workers=workers)
    return torch.cat([torch.softmax(network(batch).logits, dim=1) for batch in loader])


def write_files(data: Path, folder: Path) -> int:
    """Write MNIST's training images as they are in the parquet files; give their number."""
    tables = [pyarrow.parquet.read_table(file) for file in find_parquet(data)["train"]]
    images = [image for table in tables for image in table["image"].to_pylist()]
    if not images:
        raise SystemExit(f"{data}: expected parquet files of training images, got none")
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number:05d}.png").write_bytes(image["bytes"])
    return len(images)


def write_run(run: Path) -> None:
    """A run folder with a model whose networks are fresh."""
    networks = PRESETS["mnist"].networks
    classes = tuple(map(str, range(10)))
    save_model(
        RunFolder(run),
        ModelConfig(networks=networks, image_shape=SHAPE, classes=classes, resized=False),
        build_discriminator(networks, SHAPE, len(classes)),
        build_generator(networks, SHAPE),
    )


def compare(
    claim: str,
    setting: str,
    own_task: Task,
    network: Discriminator,
    images: Files | InMemory,
    batch_size: int,
    repeats: int,
) -> dict[str, Any]:
    """One row."""
    peers: dict[str, Task] = {
        f"DataLoader with {workers} workers": partial(
            under_data_loader, network, images, batch_size, workers
        )
        for workers in WORKERS
    }
    product = MatrixProduct()
    times = interleaved_times(
        {"ours": own_task, **peers, "matrix product": product}, repeats=repeats, warm_up=1
    )
    seconds = medians(times)
    peer = min(peers, key=seconds.__getitem__)
    count = len(images)
    weights = sum(weight.numel() for weight in network.parameters() if weight.ndim == 2)
    rate = product.operations / seconds["matrix product"]
    result = timing(
        claim=claim,
        setting=setting,
        device=device_name(torch.device("cpu")),
        precision="32-true",
        times=times,
        peer=peer,
        peer_name=f"{peer}, batches of {batch_size}",
        unit="seconds",
        floor=2 * weights * count / rate,
        repeats=repeats,
        ours_images_per_second=round(count / seconds["ours"]),
        peer_images_per_second=round(count / seconds[peer]),
        seconds={name: round(seconds[name], 3) for name in peers},
    )
    print(
        f"{setting}: ours {result['ours']:.2f} s, {result['times_floor']:.2f} times the floor;"
        f" {result['seconds']}, ours {result['times_faster']:.2f} times as fast as the best",
        flush=True,
    )
    return result


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where the files go for the time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder, run = Path(temporary) / "images", Path(temporary) / "run"
        count = write_files(arguments.data, folder)
        write_run(run)
        classifier = load_classifier(run)
        network, files = classifier.network, Files(folder)
        first, _ = next(batches_of_files(classifier, files.paths, None))
        own_probabilities = torch.from_numpy(predict(run, folder).probabilities)
        # Both must say the same of every image.
        peer_probabilities = under_data_loader(network, files, len(first), 0)
        torch.testing.assert_close(own_probabilities, peer_probabilities, rtol=0, atol=1e-5)
        pixels = np.concatenate(
            [
                batch
                for _, batch in read_images(files.paths, size=(28, 28), channels=1, resize=False)
            ]
        )
        in_memory = DeviceImages(pixels, resident_bytes=pixels.nbytes)
        rows = [
            compare(
                "files are predicted faster than under a DataLoader",
                f"mnist network, {count:,} PNG files of 28x28",
                lambda: predict_to_csv(
                    run, folder, Path(temporary) / "predictions.csv", overwrite=True
                ),
                network,
                files,
                len(first),
                arguments.repeats,
            ),
            compare(
                "`classify` takes images in memory faster than a DataLoader",
                f"mnist network, `classify`, {count:,} images of 28x28 in memory",
                lambda: torch.softmax(classify(network, in_memory, np.arange(count)), dim=1),
                network,
                InMemory(pixels),
                batch_size(SHAPE[1:], "cpu"),
                arguments.repeats,
            ),
        ]
    print(write_rows("predict", rows))


if __name__ == "__main__":
    main()
