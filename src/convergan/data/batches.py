"""Batches drawn by index, on the device: no worker processes, no state to save."""

import hashlib
import zlib
from copy import copy
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from convergan.data.image_set import Images
from convergan.errors import UserError

Pixels = (
    UInt8[Tensor, "batch height width channels"] | Float32[Tensor, "batch height width channels"]
)
"""Images as stored: levels 0 to 255, or floats in [0, 1]."""


class DeviceImages:
    """Images from which batches are gathered: all on the device, or read from the disk as needed."""

    def __init__(
        self, images: Images, device: torch.device | str = "cpu", *, resident_bytes: int
    ) -> None:
        """Args:
        images: uint8, or float32 in [0, 1], [n, height, width, channels]; in the CPU's memory it is used
            as it is, not copied.
        device: device of the batches.
        resident_bytes: largest size of images that are moved to the device as a whole; larger ones stay
            where they are, and each batch is moved.
        """
        self.device = torch.device(device)
        self.resident = images.nbytes <= resident_bytes
        self._images = images
        if self.resident:
            # A tensor needs memory that could be written to.
            usable = isinstance(images, np.ndarray) and images.flags.writeable
            in_memory = images if usable else np.array(images)
            self._resident_images = torch.from_numpy(in_memory).to(self.device)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the images."""
        _, height, width, _ = self._images.shape
        return height, width

    def gather(self, indices: np.ndarray) -> Pixels:
        """The images at these indices, on the device, in the order of the indices.

        Args:
            indices: integers [batch], 0 to n - 1, in any order, also repeated.
        """
        if self.resident:
            rows = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
            # Nobody waits: a GPU would first do all that it has been told, at each batch.
            rows = rows.to(self.device, non_blocking=self.device.type == "cuda")
            return self._resident_images.index_select(0, rows)
        # In the order of the file, as a disk likes it.
        order = np.argsort(indices, kind="stable")
        batch = np.empty((len(indices), *self._images.shape[1:]), dtype=self._images.dtype)
        batch[order] = self._images[indices[order]]
        pixels = torch.from_numpy(batch)
        if self.device.type == "cuda":
            return pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels.to(self.device)


def epoch_order(
    indices: np.ndarray, *, steps: int, batch_size: int, seed: int, epoch: int, stream: str
) -> "EpochOrder":
    """The indices of the images in each step of an epoch.

    The epoch is filled by passes over `indices`, each shuffled afresh: every index comes equally often, give
    or take one. The order depends on the arguments alone: a run resumed at any step needs no
    generator's state.

    Args:
        indices: integers [n], at least one.
        steps: number of batches in the epoch.
        batch_size: number of indices in each batch.
        seed: 0 or more.
        epoch: 0 or more.
        stream: name of this use; other uses in the same epoch have other names, and so other orders.

    Raises:
        UserError: `indices` is empty.
    """
    if len(indices) == 0:
        raise UserError("indices: expected at least one image to draw batches from, got none")
    key = (zlib.crc32(stream.encode()), epoch)
    return EpochOrder(np.asarray(indices, dtype=np.int64), steps, batch_size, seed, key)


def order_fingerprint() -> str:
    """A hash of some orders: a run resumes only if it is the same as at its start.

    NumPy does not promise that its generators draw the same numbers in every version to come.
    """
    order = epoch_order(
        np.arange(300), steps=9, batch_size=100, seed=0, epoch=0, stream="fingerprint"
    )
    indices = np.concatenate([order[step] for step in range(len(order))])
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()[:16]


_LEAST_SHUFFLED = 1000
"""Smallest number of indices to shuffle at once: making a generator takes longer than shuffling fewer."""


class EpochOrder:
    """The order of `epoch_order`, an array [steps, batch_size]: `order[step]` is a batch, int64.

    `order[:, first:last]` is the order of a rank that takes this part of every batch.

    A pass is shuffled when it begins, and kept until it ends: 8 bytes an image, 10 MB for ImageNet. Passes
    over few images are shuffled in blocks of several.
    """

    def __init__(
        self, indices: np.ndarray, steps: int, batch_size: int, seed: int, key: tuple[int, int]
    ) -> None:
        self._steps, self._batch_size, self._part = steps, batch_size, slice(None)
        self._seed, self._key = seed, key
        passes = -(-_LEAST_SHUFFLED // len(indices))
        self._block = np.broadcast_to(indices, (passes, len(indices)))
        self._blocks: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._steps

    @overload
    def __getitem__(self, key: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, key: tuple[slice, slice]) -> "EpochOrder": ...

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            steps, part = key
            if steps != slice(None) or self._part != slice(None):
                raise IndexError(f"expected [:, first:last] of all batches, got {key}")
            rank_order = copy(self)
            rank_order._part = part
            return rank_order
        if not isinstance(key, int) or not 0 <= key < self._steps:
            raise IndexError(f"expected a step, 0 to {self._steps - 1}, got {key}")
        size, first = self._block.size, key * self._batch_size
        end = first + self._batch_size
        previous = self._blocks
        self._blocks = {
            number: previous[number] if number in previous else self._shuffled(number)
            for number in range(first // size, -(-end // size))
        }
        parts = [
            block[max(0, first - number * size) : end - number * size]
            for number, block in self._blocks.items()
        ]
        return np.concatenate(parts)[self._part]

    def _shuffled(self, number: int) -> np.ndarray:
        """The draws of one block, each of its passes in an order of its own."""
        seeds = np.random.SeedSequence(self._seed, spawn_key=(*self._key, number))
        return np.random.default_rng(seeds).permuted(self._block, axis=1).ravel()
