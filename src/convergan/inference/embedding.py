"""Images through a network, once: what every metric starts from."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convergan import distributed
from convergan.data.image_stream import Channels, ImageStream, Size
from convergan.errors import UserError
from convergan.images.decode import Unreadable
from convergan.images.read_images import SkippedImage
from convergan.inference.rows import Rows, rows_of_all
from convergan.metrics.metric import Embedded
from convergan.networks.batches import device_of_process, run_batches

Precision = Literal["fp32", "bf16"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Embedding:
    """A network with features and logits, and the images that it takes."""

    network: nn.Module
    """uint8 [batch, channels, height, width] to an output with `features` and `logits`."""

    channels: Channels | None
    """What images are turned to before the network; None: grey ones stay grey."""
    size: Size | None
    """What images are scaled to before the network; None: they stay as they are."""

    classes: tuple[str, ...]
    """Empty where the names of the outputs are not known."""

    fingerprint: dict[str, Any]
    """Network, weights_sha256, resize, pixels, precision, versions."""

    precision: Precision = "fp32"

    batch_size: int = 16
    """Images of one size in a batch. Larger ones of Inception's are no faster on a CPU."""

    required_size: Size | None = None
    """What images have to measure; None: anything."""

    device: torch.device | None = None
    """Where the network stays; None: it is moved to the process's device."""


class Embeddings(NamedTuple):
    """Embedded images, and what there is to say about them."""

    images: Embedded
    places: np.ndarray
    """int64 [images]: each one's place among all, those that were skipped included."""
    skipped: list[SkippedImage]
    images_per_second: float


def embed(
    embedding: Embedding,
    images: ImageStream,
    *,
    skip_unreadable: bool = False,
    logits_alone: bool = False,
    progress: Progress | None = None,
) -> Embeddings:
    """Features and logits of all images, in order, in little more memory than these take.

    Under torchrun the processes share the images, and each of them returns all embeddings.

    Args:
        embedding: the network.
        images: what to look at.
        skip_unreadable: leave out images that cannot be read; otherwise they are errors.
        logits_alone: keep no features: [images, 0].
        progress: called with the number of images done by this process and of all that it has to do.

    Raises:
        UserError: an image cannot be read, or the network does not take its size; names it.
    """
    rank, processes = distributed.rank(), distributed.ranks()
    device = embedding.device or device_of_process(rank)
    network = embedding.network.to(device)
    own = slice(rank, len(images), processes)
    names = images.names[own] if processes > 1 else images.names
    total, start = len(names), time.monotonic()
    skipped: dict[int, str] = {}

    def readable() -> Iterator[tuple[int, np.ndarray]]:
        decoded = images.decoded(embedding.channels, embedding.size, own)
        for place, image in enumerate(decoded):
            if isinstance(image, Unreadable):
                if not skip_unreadable:
                    raise UserError(
                        f"{_whole_name(images, names[place])}: expected a readable image, got {image}"
                    )
                skipped[place] = str(image)
                continue
            if embedding.required_size not in (None, image.shape[:2]):
                raise UserError(
                    f"{_whole_name(images, names[place])}: expected {_size(embedding.required_size)} pixels"
                    f" (width x height), as the run was trained on, got {_size(image.shape)}"
                )
            yield place, image

    def outputs_of(pixels: Tensor) -> Any:
        output = network(pixels.permute(0, 3, 1, 2))
        return output._replace(features=output.features[:, :0]) if logits_alone else output

    kept: list[int] = []
    rows = Rows(total)
    batches = _batches(readable(), embedding.batch_size)
    bf16 = embedding.precision == "bf16"
    for of_batch, output in run_batches(outputs_of, batches, device, bf16=bf16):
        kept += of_batch
        rows.append([output.features, output.logits])
        if progress is not None:
            progress(len(kept) + len(skipped), total)
    seconds = max(time.monotonic() - start, 1e-9)
    places = np.array(kept, dtype=np.int64) * processes + rank
    reasons = {rank + place * processes: reason for place, reason in skipped.items()}
    outputs = rows.filled()
    if processes > 1:
        places, outputs, reasons = rows_of_all(places, outputs, reasons, device)
    if not len(places):
        raise UserError(f"{images.place}: expected images, got none that can be read")
    features, logits = outputs
    return Embeddings(
        Embedded(features, logits),
        places,
        [SkippedImage(images.names[place], reasons[place]) for place in sorted(reasons)],
        len(images) / seconds,
    )


def _batches(
    images: Iterator[tuple[int, np.ndarray]], batch_size: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Some images of one size at a time, and their places."""
    for _, same in groupby(images, key=lambda pair: pair[1].shape):
        while batch := list(islice(same, batch_size)):
            places, pixels = zip(*batch, strict=True)
            yield list(places), torch.from_numpy(np.stack(pixels))


def _size(size: tuple[int, ...]) -> str:
    """Width and height, from height and width."""
    return f"{size[1]}x{size[0]}"


def _whole_name(images: ImageStream, name: str) -> str:
    return name if name.startswith(images.place) else f"{images.place}: {name}"
