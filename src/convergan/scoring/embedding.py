"""Features and logits of images, computed once by a network for all metrics."""

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
from convergan.images.sizes import Sizes, sizes_of
from convergan.metrics.metric import Embedded
from convergan.metrics.requirements import described, first_row_not_finite, require_matrix
from convergan.networks.batches import device_of_process, run_batches
from convergan.progress_bar import Progress

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Embedding:
    """A network with features and logits, and the images that it takes."""

    network: nn.Module
    """uint8 [batch, channels, height, width] to an output with `features` and `logits`."""

    channels: Channels | None
    """Channels to which images are converted before the network; None: grey images stay grey."""
    size: Size | None
    """Size to which images are scaled before the network; None: they are not scaled."""

    classes: tuple[str, ...]
    """Names of the outputs; empty if they are not known."""

    fingerprint: dict[str, Any]
    """Settings that the outputs depend on: network, weights_sha256, resize, pixels, precision."""

    precision: Precision = "fp32"

    batch_size: int = 16
    """Number of images in a batch, all of one size. Larger batches do not make Inception faster on a CPU."""

    required_size: Size | None = None
    """Size that images must have; None: any size."""

    device: torch.device | None = None
    """Device on which the network stays; None: it is moved to the device of the process."""


class Embeddings(NamedTuple):
    """Embedded images with their origin: indices, skipped images, checksum and sizes."""

    images: Embedded
    indices: np.ndarray
    """int64 [images]: the place of each image among all, skipped ones included."""
    skipped: list[SkippedImage]
    images_per_second: float
    sha256: str
    """SHA-256 of the images' pixels as the network received them; see `with_sha256`."""
    sizes: Sizes | None = None
    """Sizes of the images as the network received them; None: not known."""


def embed(
    embedding: Embedding,
    images: ImageStream,
    *,
    skip_unreadable: bool = False,
    logits_alone: bool = False,
    progress: Progress | None = None,
) -> Embeddings:
    """Compute features and logits of all images, in order, in little more memory than the results take.

    Under torchrun the processes share the images, and each of them returns all embeddings.

    Args:
        embedding: the network.
        images: the images.
        skip_unreadable: skip images that cannot be read; otherwise they are errors.
        logits_alone: keep no features, [images, 0], and keep the logits in a temporary file: those of
            millions of images would fill the memory.
        progress: called with the numbers of images that this process has done and has to do.

    Raises:
        UserError: an image cannot be read or has another size than the network takes, or its outputs are not
            finite floats [batch, ...], as many as for the images before; the message names the image.
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
        for index, image in enumerate(decoded):
            if isinstance(image, Unreadable):
                if not skip_unreadable:
                    raise UserError(
                        f"{_whole_name(images, names[index])}: expected a readable image, got {image}"
                    )
                skipped[index] = str(image)
                continue
            _require_size(image, embedding, _whole_name(images, names[index]))
            sizes.add(image.shape[:2])
            yield index, image

    def outputs_of(pixels: Tensor) -> _Outputs:
        outputs = _outputs(network(pixels.permute(0, 3, 1, 2)), len(pixels))
        return outputs._replace(features=outputs.features[:, :0]) if logits_alone else outputs

    local_indices: list[int] = []
    rows = Rows(total, on_disk=logits_alone)
    batches = _batches(readable(), embedding.batch_size)
    run = run_batches(outputs_of, batches, device, bf16=embedding.precision == "bf16")
    for batch_indices, output in run:
        batch_names = [names[row] for row in batch_indices]
        for values, room in zip(output, rows.room or output, strict=True):
            _require_values(values, room.shape[1], images, batch_names)
        local_indices += batch_indices
        rows.append(list(output))
        if progress is not None:
            progress(len(local_indices) + len(skipped), total)
    seconds = max(time.monotonic() - start, 1e-9)
    indices = np.array(local_indices, dtype=np.int64) * processes + rank
    reasons = {rank + index * processes: reason for index, reason in skipped.items()}
    outputs = rows.filled()
    if processes > 1:
        indices, outputs, reasons = rows_of_all(indices, outputs, reasons, device)
    if not len(indices):
        raise UserError(f"{images.place}: expected images, got none that can be read")
    return Embeddings(
        Embedded(*outputs),
        indices,
        [SkippedImage(images.names[index], reasons[index]) for index in sorted(reasons)],
        len(images) / seconds,
        sha256(),
        sizes_of(distributed.union_over_ranks(sizes)),
    )


class _Outputs(NamedTuple):
    features: Tensor
    logits: Tensor


def _outputs(output: Any, count: int) -> _Outputs:
    """Features and logits of a network's output for a batch, checked but for their values."""
    if not (hasattr(output, "features") and hasattr(output, "logits")):
        raise UserError(
            f"classifier: expected an output with features and logits, got {described(output)}"
        )
    for name, columns in (("features", "features"), ("logits", "classes")):
        require_matrix(f"{name} of the classifier", getattr(output, name), count, columns)
    return _Outputs(output.features, output.logits)


def _require_size(image: np.ndarray, embedding: Embedding, name: str) -> None:
    if embedding.required_size not in (None, image.shape[:2]):
        raise UserError(
            f"{name}: expected {_size(embedding.required_size)} pixels (width x height), as the run was"
            f" trained on, got {_size(image.shape)}"
        )


def _require_values(outputs: Tensor, count: int, images: ImageStream, names: Sequence[str]) -> None:
    """Raise an error unless the outputs for a batch are finite, and as many as for the images before."""
    if outputs.shape[1] != count:
        raise UserError(
            f"{_whole_name(images, names[0])}: expected {count} outputs of the network, as of the images"
            f" before, got {outputs.shape[1]}"
        )
    row = first_row_not_finite(outputs)
    if row is not None:
        name = _whole_name(images, names[row])
        raise UserError(f"{name}: expected finite outputs of the network, got NaN or infinity")


def _batches(
    images: Iterator[tuple[int, np.ndarray]], batch_size: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Batches of images of one size, with their indices."""
    for _, one_size in groupby(images, key=lambda pair: pair[1].shape):
        while batch := list(islice(one_size, batch_size)):
            indices, pixels = zip(*batch, strict=True)
            yield list(indices), torch.from_numpy(np.stack(pixels))


def _size(size: tuple[int, ...]) -> str:
    """Size as `width x height`, from height and width."""
    return f"{size[1]}x{size[0]}"


def _whole_name(images: ImageStream, name: str) -> str:
    return name if name.startswith(images.place) else f"{images.place}: {name}"


def with_sha256(images: ImageStream) -> tuple[ImageStream, Callable[[], str]]:
    """The same images, and a function that returns the SHA-256 of those decoded so far by all processes.

    The checksum is of the decoded pixels, after any conversion, and does not depend on the images' order.
    """
    digests: list[bytes] = []

    def decoded(
        channels: Channels | None, size: Size | None, part: slice
    ) -> Iterator[np.ndarray | Unreadable]:
        for image in images.decoded(channels, size, part):
            if not isinstance(image, Unreadable):
                digests.append(arrays_sha256(image).digest())
            yield image

    def sha256() -> str:
        all_digests = [digests]
        if distributed.ranks() > 1:
            all_digests = [[] for _ in range(distributed.ranks())]
            torch.distributed.all_gather_object(all_digests, digests)
        return hashlib.sha256(b"".join(sorted(chain(*all_digests)))).hexdigest()

    return replace(images, decoded=decoded), sha256


def arrays_sha256(*arrays: np.ndarray) -> "hashlib._Hash":
    """SHA-256 of the shapes and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest


class Rows:
    """Outputs of a network, row by row, in memory that is reserved at the first batch and never copied.

    Args:
        count: number of rows.
        on_disk: keep the rows in an anonymous temporary file, which lives as long as they do.
    """

    def __init__(self, count: int, *, on_disk: bool = False) -> None:
        self.count, self.filled_rows, self.on_disk = count, 0, on_disk
        self.room: list[Tensor] = []

    def append(self, outputs: list[Tensor]) -> None:
        """Append the rows of one batch."""
        if not self.room:
            self.room = [self._room(output) for output in outputs]
        end = self.filled_rows + len(outputs[0])
        for room, output in zip(self.room, outputs, strict=True):
            room[self.filled_rows : end] = output
        self.filled_rows = end

    def _room(self, output: Tensor) -> Tensor:
        shape = (self.count, *output.shape[1:])
        if not self.on_disk or 0 in shape:
            return output.new_empty(shape)
        with tempfile.TemporaryFile() as file:
            # The map keeps the file.
            return torch.from_numpy(np.memmap(file, output.numpy().dtype, "w+", shape=shape))

    def filled(self) -> list[Tensor]:
        """All rows; empty if there was no batch."""
        return [room[: self.filled_rows] for room in self.room]


def rows_of_all(
    indices: np.ndarray, outputs: list[Tensor], skipped: dict[int, str], device: torch.device
) -> tuple[np.ndarray, list[Tensor], dict[int, str]]:
    """Gather the outputs of all processes, in the images' order, on every process.

    One process at a time broadcasts its rows.

    Args:
        indices: the indices of this process's images among all.
        outputs: the outputs of these images.
        skipped: the reasons why images were skipped, by index.
        device: the device of this process.
    """
    reports: list[Any] = [None] * torch.distributed.get_world_size()
    shapes = [output.shape[1:] for output in outputs]
    torch.distributed.all_gather_object(reports, (indices, shapes, skipped))
    all_indices = np.concatenate([rank_indices for rank_indices, *_ in reports])
    order = np.argsort(all_indices)
    row_of = np.empty_like(order)
    row_of[order] = np.arange(len(order))
    rows = np.split(row_of, np.cumsum([len(rank_indices) for rank_indices, *_ in reports])[:-1])
    shapes = next((row_shapes for _, row_shapes, _ in reports if row_shapes), [])
    # NCCL does not transfer between CPUs.
    carrier = device if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    gathered = [torch.empty(len(order), *shape) for shape in shapes]
    for number, target in enumerate(gathered):
        for rank, rank_indices in enumerate(rows):
            if 0 in (len(rank_indices), *shapes[number]):
                continue
            part = (
                outputs[number].to(carrier)
                if rank == torch.distributed.get_rank()
                else torch.empty(len(rank_indices), *shapes[number], device=carrier)
            )
            torch.distributed.broadcast(part, src=rank)
            target[torch.from_numpy(rank_indices)] = part.cpu()
    reasons = {index: reason for *_, skips in reports for index, reason in skips.items()}
    return all_indices[order], gathered, reasons
