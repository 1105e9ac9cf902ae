"""Batches drawn by index, on the device: no worker processes, no state to save."""

import math
import zlib

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from convergan.errors import UserError


class DeviceImages:
    """Images that batches are gathered from: wholly on the device, or read from the disk as needed."""

    def __init__(
        self, images: np.ndarray, device: torch.device | str = "cpu", *, resident_bytes: int
    ) -> None:
        """
        Args:
            images: uint8 [n, height, width, channels]; in the CPU's memory it is used as it is, not copied.
            device: where batches are wanted.
            resident_bytes: images of up to so many bytes are moved to the device once; more stay where they
                are, and each batch is moved.
        """
        self.device = torch.device(device)
        self.resident = images.nbytes <= resident_bytes
        self._images = images
        if self.resident:
            # A tensor needs memory that could be written to.
            in_memory = images if images.flags.writeable else np.array(images)
            self._resident_images = torch.from_numpy(in_memory).to(self.device)

    def __len__(self) -> int:
        return len(self._images)

    def gather(self, indices: np.ndarray) -> UInt8[Tensor, "batch height width channels"]:
        """The images at these positions, on the device, in the order asked for.

        Args:
            indices: integers [batch], 0 to n - 1, in any order, also repeated.
        """
        if self.resident:
            rows = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
            return self._resident_images.index_select(0, rows.to(self.device))
        # In the order of the file, as a disk likes it.
        order = np.argsort(indices, kind="stable")
        batch = np.empty((len(indices), *self._images.shape[1:]), dtype=np.uint8)
        batch[order] = self._images[indices[order]]
        pixels = torch.from_numpy(batch)
        if self.device.type == "cuda":
            return pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels.to(self.device)


def to_network(
    images: UInt8[Tensor, "batch height width channels"], pixel_range: tuple[float, float]
) -> Float32[Tensor, "batch channels height width"]:
    """Pixels as a network takes them: 0 becomes `pixel_range[0]`, 255 `pixel_range[1]`."""
    low, high = pixel_range
    floats = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return floats.mul_((high - low) / 255).add_(low)


def to_uint8(
    images: Float32[Tensor, "batch channels height width"], pixel_range: tuple[float, float]
) -> UInt8[Tensor, "batch height width channels"]:
    """What a network made as pixels: the inverse of `to_network`, rounded, clamped to 0..255."""
    low, high = pixel_range
    levels = (images.to(torch.float32) - low) * (255 / (high - low))
    return levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def epoch_order(
    indices: np.ndarray, *, steps: int, batch_size: int, seed: int, epoch: int, stream: str
) -> np.ndarray:
    """Which images each step of an epoch sees.

    As many passes over `indices` as fill the epoch, each shuffled afresh: every index comes equally often,
    give or take one. The order depends on the arguments alone: a run
    resumed at any step needs no generator's state.

    Args:
        indices: integers [n], at least one.
        steps: batches in the epoch.
        batch_size: indices in each.
        seed: 0 or more.
        epoch: 0 or more.
        stream: a name for this use; another use in the same epoch has another name and so another order.

    Returns:
        int64 [steps, batch_size].

    Raises:
        UserError: `indices` is empty.
    """
    if len(indices) == 0:
        raise UserError("indices: expected at least one image to draw batches from, got none")
    seeds = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(stream.encode()), epoch))
    wanted = steps * batch_size
    passes = np.tile(np.asarray(indices, dtype=np.int64), (math.ceil(wanted / len(indices)), 1))
    shuffled = np.random.default_rng(seeds).permuted(passes, axis=1)
    return shuffled.reshape(-1)[:wanted].reshape(steps, batch_size)
