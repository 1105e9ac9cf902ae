"""Conversion between pixels of image files and the numbers that networks take and make."""

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor


def to_network(
    images: UInt8[Tensor, "batch height width channels"]
    | Float[Tensor, "batch height width channels"],
    pixel_range: tuple[float, float],
) -> Float32[Tensor, "batch channels height width"]:
    """Convert pixels to a network's range: 0 to `pixel_range[0]`, 255 (1 of floats) to `pixel_range[1]`."""
    low, high = pixel_range
    highest = 255 if images.dtype == torch.uint8 else 1
    floats = images.permute(0, 3, 1, 2).to(
        torch.float32, memory_format=torch.contiguous_format, copy=True
    )
    return floats.mul_((high - low) / highest).add_(low)


def to_uint8(
    images: Float[Tensor, "batch channels height width"], pixel_range: tuple[float, float]
) -> UInt8[Tensor, "batch height width channels"]:
    """Convert a network's images to pixels: the inverse of `to_network`, rounded, clamped to 0..255."""
    low, high = pixel_range
    levels = (images.to(torch.float32) - low) * (255 / (high - low))
    return levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
