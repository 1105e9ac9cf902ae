"""Claim: features of the Inception network at least twice as fast as torch-fidelity's, or 80 % of the floor.

    python benchmarks/score_speed.py --data DIR [--images 64] [--repeats 5] [--threads N] [--weights FILE]

Both start from image files as PNG and end with features and logits in memory, in fp32, with the same weights;
without --weights these are random ones of the public file's format, with a last layer that tells the images
apart. Ours is what `convergan score` does. The peer is torch-fidelity's network in batches of 64 under a
DataLoader that opens each file with Pillow; the best number of worker processes counts. Both networks
are in one process, and take turns. The images are the first of CIFAR-10's test set; the floor is the
network's arithmetic at the rate of a large matrix product. The row has the scores of both.

On a GPU there is a second row, in bf16; its deviation from our fp32 is in the row and printed.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from convergan.data.image_stream import open_image_stream
from convergan.metrics.inception import InceptionNetwork
from convergan.runs.provenance import device_name
from convergan.scoring.embedding import Embedding, embed
from harness.command_line import command_parser
from harness.equal_terms import WORKERS
from harness.measure import MatrixProduct, interleaved_times, medians
from harness.rows import timing, write_rows
from harness.torch_fidelity_reference import (
    random_state,
    reference_network,
    telling_state,
    torch_fidelity,
)

LOGITS_STDEV = 3.0


class Files(Dataset[Tensor]):
    """Image files, one at a time, as torch-fidelity opens them."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@torch.no_grad()
def under_data_loader(
    network: Any, folder: Path, workers: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Features and logits."""
    loader = DataLoader(Files(folder), batch_size=64, num_workers=workers)
    outputs = [network(images.to(device)) for images in loader]
    features, logits = (torch.cat(part).cpu() for part in zip(*outputs, strict=True))
    return features, logits


def write_images(data: Path, folder: Path, count: int) -> None:
    """The first images of a test set as PNG files."""
    stream = open_image_stream(data, split="test")
    for number, image in enumerate(stream.decoded(3, None, slice(0, count))):
        Image.fromarray(image).save(folder / f"{number:05d}.png")  # type: ignore[arg-type]


def embedding_of(state: dict[str, Tensor], precision: Any = "fp32") -> Embedding:
    """The Inception network of convergan with these weights."""
    network = InceptionNetwork()
    network.load_weights(state)
    return Embedding(network, 3, None, (), {}, precision)


def compare(
    folder: Path, state: dict[str, Tensor], *, repeats: int, precision: Any = "fp32"
) -> dict[str, Any]:
    """Times and scores of the images in a folder, for a row."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    embedding = embedding_of(state, precision)
    peer_network = reference_network(state).to(device)
    stream = open_image_stream(folder)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    product = MatrixProduct(device, dtype)
    times = interleaved_times(
        {
            "ours": lambda: embed(embedding, stream),
            **{
                str(workers): partial(under_data_loader, peer_network, folder, workers, device)
                for workers in WORKERS
            },
            "product": product,
        },
        repeats=repeats,
        device=device,
        warm_up=1,
    )
    seconds = medians(times)
    own_outputs = embed(embedding, stream).images
    exact = own_outputs if precision == "fp32" else embed(embedding_of(state), stream).images
    features, logits = under_data_loader(peer_network, folder, 0, device)
    with FlopCounterMode(display=False) as counter:
        embedding.network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8, device=device))
    operations = counter.get_total_flops() * len(stream)
    score = torch_fidelity("metric_isc").isc_features_to_metric
    mean = "inception_score_mean"
    workers = min(WORKERS, key=lambda number: seconds[str(number)])
    return {
        "device": device_name(device),
        "precision": precision,
        "times": times,
        "peer": str(workers),
        "floor": operations * seconds["product"] / product.operations,
        "unit": f"seconds for {len(stream)} images",
        "repeats": repeats,
        "images_per_second": round(len(stream) / seconds["ours"], 2),
        "peer_images_per_second": round(len(stream) / seconds[str(workers)], 2),
        "peer_workers": workers,
        "largest_difference_of_features": float((own_outputs.features - features).abs().max()),
        "largest_difference_of_logits": float((own_outputs.logits - logits).abs().max()),
        "stdev_of_features": float(features.std()),
        "stdev_of_logits": float(logits.std()),
        **{
            f"largest_difference_of_{name}_from_our_fp32": float((value - exact_value).abs().max())
            for name, value, exact_value in (
                ("features", own_outputs.features, exact.features),
                ("logits", own_outputs.logits, exact.logits),
            )
        },
        "score": score(own_outputs.logits)[mean],
        "score_of_our_fp32": score(exact.logits)[mean],
        "peer_score": score(logits)[mean],
    }


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    weights = "public weights" if arguments.weights else "random weights"
    state = (
        torch.load(arguments.weights, weights_only=True) if arguments.weights else random_state()
    )
    precisions = ("fp32", "bf16") if torch.cuda.is_available() else ("fp32",)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_images(arguments.data, Path(folder), arguments.images)
        if not arguments.weights:
            looked = embed(embedding_of(state), open_image_stream(Path(folder))).images
            state = telling_state(state, looked.features, LOGITS_STDEV)
        for precision in precisions:
            rows.append(
                timing(
                    claim="images through the Inception network twice as fast as torch-fidelity, or at "
                    "80 % of the floor's rate",
                    setting=f"{arguments.images} CIFAR-10 (JPEG) images as PNG files, {weights}",
                    peer_name="torch-fidelity 0.4.0",
                    **compare(Path(folder), state, repeats=arguments.repeats, precision=precision),
                )
            )
            last = rows[-1]
            print(
                f"{precision}: ours {last['images_per_second']} images/s, torch-fidelity "
                f"{last['peer_images_per_second']}: {last['times_faster']:.2f} times as fast, "
                f"{1 / last['times_floor']:.0%} of the floor; scores {last['score']:.6f} and "
                f"{last['peer_score']:.6f}"
            )
            if precision != "fp32":
                change = last["score"] / last["score_of_our_fp32"] - 1
                print(
                    f"{precision} against our fp32: score {change:+.2%}; features"
                    f" {last['largest_difference_of_features_from_our_fp32']:.2g} at most (standard"
                    f" deviation {last['stdev_of_features']:.2g}), logits"
                    f" {last['largest_difference_of_logits_from_our_fp32']:.2g}"
                    f" ({last['stdev_of_logits']:.2g})"
                )
    print(write_rows("score-speed", rows))


if __name__ == "__main__":
    main()
