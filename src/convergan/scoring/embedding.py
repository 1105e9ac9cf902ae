"""Images through a network, once: what every metric starts from."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convergan import distributed
from convergan.data.image_stream import Channels, ImageStream, Size
from convergan.errors import UserError
from convergan.images.decode import Unreadable
from convergan.images.read_images import SkippedImage
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
    sha256: str
    """Of the images' pixels as the network was given them; see `with_sha256`."""
    sizes: frozenset[Size] = frozenset()
    """Height and width of images as the network was given them."""


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
        logits_alone: keep no features, [images, 0], and logits in a temporary file: of millions of images
            they would fill the memory.
        progress: called with the number of images done by this process and of all that it has to do.

    Raises:
        UserError: an image cannot be read, the network does not take its size, or says something of it that
            is not finite; names it.
    """
    images, sha256 = with_sha256(images) if not logits_alone else (images, lambda: "")
    rank, processes = distributed.rank(), distributed.ranks()
    device = embedding.device or device_of_process(rank)
    network = embedding.network.to(device)
    own = slice(rank, len(images), processes)
    names = images.names[own] if processes > 1 else images.names
    total, start = len(names), time.monotonic()
    skipped: dict[int, str] = {}
    sizes: set[Size] = set()

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
            _require_size(image, embedding, _whole_name(images, names[place]))
            sizes.add(image.shape[:2])
            yield place, image

    def outputs_of(pixels: Tensor) -> Any:
        output = network(pixels.permute(0, 3, 1, 2))
        return output._replace(features=output.features[:, :0]) if logits_alone else output

    kept: list[int] = []
    rows = Rows(total, on_disk=logits_alone)
    batches = _batches(readable(), embedding.batch_size)
    run = run_batches(outputs_of, batches, device, bf16=embedding.precision == "bf16")
    for of_batch, output in run:
        for outputs in (output.features, output.logits):
            _require_finite(outputs, images, [names[row] for row in of_batch])
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
        sha256(),
        distributed.union_over_ranks(sizes),
    )


def _require_size(image: np.ndarray, embedding: Embedding, name: str) -> None:
    if embedding.required_size not in (None, image.shape[:2]):
        raise UserError(
            f"{name}: expected {_size(embedding.required_size)} pixels (width x height), as the run was"
            f" trained on, got {_size(image.shape)}"
        )


def _require_finite(outputs: Tensor, images: ImageStream, names: Sequence[str]) -> None:
    finite = outputs.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        name = _whole_name(images, names[int(finite.long().argmin())])
        raise UserError(f"{name}: expected finite outputs of the network, got others")


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


def with_sha256(images: ImageStream) -> tuple[ImageStream, Callable[[], str]]:
    """The same images, and the SHA-256 of those that have been decoded, of all processes together.

    It is of pixels as they were asked for, and the same in whatever order the images come.
    """
    digests: list[bytes] = []

    def decoded(
        channels: Channels | None, size: Size | None, some: slice
    ) -> Iterator[np.ndarray | Unreadable]:
        for image in images.decoded(channels, size, some):
            if not isinstance(image, Unreadable):
                digests.append(arrays_sha256(image).digest())
            yield image

    def sha256() -> str:
        everyones = [digests]
        if distributed.ranks() > 1:
            everyones = [[] for _ in range(distributed.ranks())]
            torch.distributed.all_gather_object(everyones, digests)
        return hashlib.sha256(b"".join(sorted(chain(*everyones)))).hexdigest()

    return replace(images, decoded=decoded), sha256


def arrays_sha256(*arrays: np.ndarray) -> "hashlib._Hash":
    """Of shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest


class Rows:
    """Outputs of a network, row by row: room for all from the first on, so that nothing is copied later.

    Args:
        count: of rows.
        on_disk: in a file that has no name and goes with the rows, and not in memory.
    """

    def __init__(self, count: int, *, on_disk: bool = False) -> None:
        self.count, self.used, self.on_disk = count, 0, on_disk
        self.room: list[Tensor] = []

    def append(self, outputs: list[Tensor]) -> None:
        """Takes the rows of one batch."""
        if not self.room:
            self.room = [self._room(output) for output in outputs]
        upto = self.used + len(outputs[0])
        for room, output in zip(self.room, outputs, strict=True):
            room[self.used : upto] = output
        self.used = upto

    def _room(self, output: Tensor) -> Tensor:
        shape = (self.count, *output.shape[1:])
        if not self.on_disk or 0 in shape:
            return output.new_empty(shape)
        with tempfile.TemporaryFile() as file:
            # The map keeps the file.
            return torch.from_numpy(np.memmap(file, output.numpy().dtype, "w+", shape=shape))

    def filled(self) -> list[Tensor]:
        """All rows; empty if there was no batch."""
        return [room[: self.used] for room in self.room]


def rows_of_all(
    places: np.ndarray, outputs: list[Tensor], skipped: dict[int, str], device: torch.device
) -> tuple[np.ndarray, list[Tensor], dict[int, str]]:
    """What all processes have found, in the images' order; one process at a time tells the others.

    Args:
        places: of this process's images among all.
        outputs: theirs.
        skipped: why images have none, by place.
        device: this process's.
    """
    told: list[Any] = [None] * torch.distributed.get_world_size()
    shapes = [output.shape[1:] for output in outputs]
    torch.distributed.all_gather_object(told, (places, shapes, skipped))
    everywhere = np.concatenate([of_rank for of_rank, *_ in told])
    order = np.argsort(everywhere)
    row_of = np.empty_like(order)
    row_of[order] = np.arange(len(order))
    rows = np.split(row_of, np.cumsum([len(of_rank) for of_rank, *_ in told])[:-1])
    shapes = next((some for _, some, _ in told if some), [])
    # NCCL carries nothing between CPUs.
    carrier = device if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    together = [torch.empty(len(order), *shape) for shape in shapes]
    for number, whole in enumerate(together):
        for rank, of_rank in enumerate(rows):
            if 0 in (len(of_rank), *shapes[number]):
                continue
            part = (
                outputs[number].to(carrier)
                if rank == torch.distributed.get_rank()
                else torch.empty(len(of_rank), *shapes[number], device=carrier)
            )
            torch.distributed.broadcast(part, src=rank)
            whole[torch.from_numpy(of_rank)] = part.cpu()
    reasons = {place: reason for *_, some in told for place, reason in some.items()}
    return everywhere[order], together, reasons
