"""Batches drawn by index, on the device: no worker processes, no state to save."""

import zlib
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
"""Images as they are stored: levels 0 to 255, or floats in [0, 1]."""


class DeviceImages:
    """Images that batches are gathered from: wholly on the device, or read from the disk as needed."""

    def __init__(
        self, images: Images, device: torch.device | str = "cpu", *, resident_bytes: int
    ) -> None:
        """
        Args:
            images: uint8, or float32 in [0, 1], [n, height, width, channels]; in the CPU's memory it is used
                as it is, not copied.
            device: where batches are wanted.
            resident_bytes: images of up to so many bytes are moved to the device once; more stay where they
                are, and each batch is moved.
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
        """The images at these positions, on the device, in the order asked for.

        Args:
            indices: integers [batch], 0 to n - 1, in any order, also repeated.
        """
        if self.resident:
            rows = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
            return self._resident_images.index_select(0, rows.to(self.device))
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
    """Which images each step of an epoch sees.

    As many passes over `indices` as fill the epoch, each shuffled afresh: every index comes equally often,
    give or take one. The order depends on the arguments alone: a run resumed at any step needs no
    generator's state.

    Args:
        indices: integers [n], at least one.
        steps: batches in the epoch.
        batch_size: indices in each.
        seed: 0 or more.
        epoch: 0 or more.
        stream: a name for this use; another use in the same epoch has another name and so another order.

    Raises:
        UserError: `indices` is empty.
    """
    if len(indices) == 0:
        raise UserError("indices: expected at least one image to draw batches from, got none")
    seeds = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(stream.encode()), epoch))
    key = int(seeds.generate_state(1, np.uint64)[0])
    return EpochOrder(np.asarray(indices, dtype=np.int64), steps, batch_size, key)


class EpochOrder:
    """What `epoch_order` gives. It is read as an array [steps, batch_size]: `order[step]` is a batch, int64.

    `order[:, first:last]` is the order of a rank that takes this part of every batch.

    Batches are computed when they are asked for: beside the indices nothing in memory grows with the data.
    """

    def __init__(
        self,
        indices: np.ndarray,
        steps: int,
        batch_size: int,
        key: int,
        part: slice = slice(None),
    ) -> None:
        self._indices, self._steps, self._batch_size = indices, steps, batch_size
        self._key, self._part = key, part
        self._block = -1

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
            return EpochOrder(self._indices, self._steps, self._batch_size, self._key, part)
        if not isinstance(key, int) or not 0 <= key < self._steps:
            raise IndexError(f"expected a step, 0 to {self._steps - 1}, got {key}")
        block, row = divmod(key, _BLOCK_STEPS)
        if block != self._block:
            self._block, self._batches = block, self._compute(block)
        return self._batches[row]

    def _compute(self, block: int) -> np.ndarray:
        """int64 [steps, batch]: the batches of some steps."""
        steps = np.arange(block * _BLOCK_STEPS, min((block + 1) * _BLOCK_STEPS, self._steps))
        draws = steps[:, None] * self._batch_size + np.arange(self._batch_size)[self._part]
        passes, places = np.divmod(draws.ravel(), len(self._indices))
        keys = _mixed(passes.view(np.uint64) + self._key)
        return self._indices[_permuted(places, len(self._indices), keys)].reshape(draws.shape)


_BLOCK_STEPS = 512
"""Steps whose batches are computed at once: for one alone, numpy's calls would take longer than its work."""

_ROUNDS = 8
_FEWEST_BITS = 6
"""With fewer of either, some orders of a few images come more often than others."""


def _permuted(places: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """Where a permutation of 0 to count - 1 takes each place: int64. Another key is another permutation.

    A Feistel network permutes all numbers of so many bits (Luby & Rackoff 1988): it adds to one half of the
    bits what looks like noise and depends on the other half, and goes on with the halves exchanged. What it
    takes to `count` or beyond goes through it again, until it comes to lie below.
    """
    bits = max((count - 1).bit_length(), _FEWEST_BITS)
    result = places.astype(np.uint64)
    todo = np.arange(len(result))
    while len(todo):
        left_bits, right_bits = bits // 2, bits - bits // 2
        left, right = result[todo] >> right_bits, result[todo] & 2**right_bits - 1
        for number in range(_ROUNDS):
            noise = _mixed(right + keys[todo] + (number << 32)) & 2**left_bits - 1
            left, right = right, left ^ noise
            left_bits, right_bits = right_bits, left_bits
        result[todo] = left << right_bits | right
        todo = todo[result[todo] >= count]
    return result.view(np.int64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """uint64 from uint64, as if drawn at random: the output function of SplitMix64."""
    numbers = (numbers ^ (numbers >> 30)) * 0xBF58476D1CE4E5B9
    numbers = (numbers ^ (numbers >> 27)) * 0x94D049BB133111EB
    return numbers ^ (numbers >> 31)
