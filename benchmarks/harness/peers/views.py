"""Views of a batch for the peers' networks, as a user of the field writes them, on tensors.

Images are float32 in [0, 1], [n, channels, height, width].
"""

import torch
from torch import Tensor
from torch.nn import functional as F


class Views:
    """Weak, ordinary and strong views, of photographs or of digits.

    Args:
        side: side of the images in pixels; crops and holes are in proportion to 4 and 12 of 32.
        photographs: True if images are mirrored and coloured; digits are turned and slanted instead.
    """

    def __init__(self, side: int, *, photographs: bool) -> None:
        self.photographs = photographs
        self.pad, self.hole = (
            max(1, side // 8 if photographs else side // 14),
            round(side * 12 / 32),
        )

    def weak(self, images: Tensor) -> Tensor:
        """Views shifted, and mirrored where left and right do not matter."""
        return shifted(flipped(images) if self.photographs else images, self.pad)

    def labelled(self, images: Tensor) -> Tensor:
        """Views for supervised training."""
        views = self.weak(images)
        return coloured(views, 0.4) if self.photographs else turned(views, 0.15)

    def strong(self, images: Tensor) -> Tensor:
        """Views that are to be classified as the weak views are."""
        views = self.weak(images)
        views = greyed(coloured(views, 0.6), 0.2) if self.photographs else turned(views, 0.3)
        return with_hole(views, self.hole)


def flipped(images: Tensor) -> Tensor:
    """Images of which half are mirrored, left to right."""
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def shifted(images: Tensor, pixels: int) -> Tensor:
    """Images shifted by up to so many pixels in each direction, with reflected borders."""
    count, _, height, width = images.shape
    padded = F.pad(images, [pixels] * 4, mode="reflect").permute(0, 2, 3, 1)
    vertical, horizontal = torch.randint(0, 2 * pixels + 1, (2, count, 1))
    rows, columns = vertical + torch.arange(height), horizontal + torch.arange(width)
    crops = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return crops.permute(0, 3, 1, 2)


def coloured(images: Tensor, strength: float) -> Tensor:
    """Images with other brightness, contrast and saturation, each by a factor of 1 +- strength."""
    brightness, contrast, saturation = 1 + strength * (2 * torch.rand(3, len(images), 1, 1, 1) - 1)
    images = images * brightness
    images = torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, contrast)
    return torch.lerp(images.mean(dim=1, keepdim=True), images, saturation).clamp(0, 1)


def greyed(images: Tensor, share: float) -> Tensor:
    """Images of which a share have no colour."""
    mask = torch.rand(len(images), 1, 1, 1) < share
    return torch.where(mask, images.mean(dim=1, keepdim=True), images)


def turned(images: Tensor, strength: float) -> Tensor:
    """Images turned, slanted and scaled, each by up to `strength` (radians, shear, share)."""
    count = len(images)
    angle, shear, scale = strength * (2 * torch.rand(3, count) - 1)
    scale, none = 1 + scale, torch.zeros(count)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, shear - sin, none], dim=1), torch.stack([sin, cos, none], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def with_hole(images: Tensor, side: int) -> Tensor:
    """Images with a grey square, which may reach over the edge."""
    count, _, height, width = images.shape
    rows, columns = torch.rand(2, count, 1) * torch.tensor([[[height]], [[width]]])
    masks = [
        (torch.arange(length) + 0.5 - centre).abs() < side / 2
        for length, centre in ((height, rows), (width, columns))
    ]
    hole = masks[0][:, None, :, None] & masks[1][:, None, None, :]
    return images.masked_fill(hole, 0.5)
