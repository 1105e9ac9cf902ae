"""Views of images: other images of the same classes, drawn at random on the images' device."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SHIFT = 1 / 14
"""Largest shift as a share of a side: 2 pixels of 28."""

CONTRAST = 0.4
"""Largest relative change of the contrast."""

BRIGHTNESS = 0.2
"""Largest change of the brightness as a share of the range of the pixels."""

CUTOUT = 0.375
"""Side of the square that is cut out, as a share of the shorter side: 12 pixels of 32."""


def weak_view(
    images: Float[Tensor, "batch channels height width"], pixel_range: tuple[float, float]
) -> Float[Tensor, "batch channels height width"]:
    """The images, each shifted by up to `SHIFT` of its sides; pixels at the border are repeated.

    Args:
        images: pixels in `pixel_range`.
        pixel_range: lowest and highest value of a pixel.
    """
    del pixel_range  # A shift needs none.
    batch, _, height, width = images.shape
    down, right = round(SHIFT * height), round(SHIFT * width)
    padded = F.pad(images, (right, right, down, down), mode="replicate")
    rows = _positions(batch, height, down, images.device)
    columns = _positions(batch, width, right, images.device)
    number = torch.arange(batch, device=images.device)[:, None, None]
    # Indices beside a slice put the channels last.
    return padded[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def strong_view(
    images: Float[Tensor, "batch channels height width"], pixel_range: tuple[float, float]
) -> Float[Tensor, "batch channels height width"]:
    """The images, each shifted as by `weak_view`, with another contrast and brightness and a grey square.

        y = mean + c (x - mean) + b (high - low), clamped to [low, high]

    with c uniform in 1 +- `CONTRAST`, b uniform in +-`BRIGHTNESS`; a square of `CUTOUT` of the shorter side
    (DeVries & Taylor, 2017), centred at any pixel, is set to the middle of the range.

    Args:
        images: pixels in `pixel_range`.
        pixel_range: lowest and highest value of a pixel.
    """
    low, high = pixel_range
    batch, _, height, width = images.shape
    contrast = 1 + CONTRAST * _uniform(images)
    brightness = BRIGHTNESS * (high - low) * _uniform(images)
    shifted = weak_view(images, pixel_range)
    mean = shifted.mean(dim=(1, 2, 3), keepdim=True)
    changed = (mean + contrast * (shifted - mean) + brightness).clamp(low, high)
    half = CUTOUT * min(height, width) / 2
    inside_rows = _near(batch, height, half, images.device)
    inside_columns = _near(batch, width, half, images.device)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return changed.masked_fill(inside, (low + high) / 2)


VIEWS = {"weak": weak_view, "strong": strong_view}
"""The functions by the name of their view."""


def _uniform(images: Tensor) -> Float[Tensor, "batch 1 1 1"]:
    """A number in [-1, 1) for each image."""
    return 2 * torch.rand(len(images), 1, 1, 1, device=images.device) - 1


def _positions(batch: int, size: int, largest: int, device: torch.device) -> Tensor:
    """Indices [batch, size] of the rows, or columns, of a padded image after a random shift."""
    shifts = torch.randint(2 * largest + 1, (batch, 1), device=device)
    return torch.arange(size, device=device) + shifts


def _near(batch: int, size: int, half: float, device: torch.device) -> Tensor:
    """True [batch, size] for the rows, or columns, at most `half` from a random one."""
    centres = torch.randint(size, (batch, 1), device=device)
    return (torch.arange(size, device=device) - centres).abs() <= half
