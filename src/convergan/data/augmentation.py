"""Augmentation: random views of images, of the same classes, computed on the images' device."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from convergan.recipes.augmentation import AugmentationSettings
from convergan.whole_batch import draw_rows

ImageBatch = Float[Tensor, "batch channels height width"]


class Augmentation:
    """Random views of images, as the settings specify them.

    Each method takes images, float32 or float64, and the lowest and highest value of a pixel; it returns
    views of the same shape, dtype and memory format, in the same range. Each image has draws of its own,
    from torch's default generator of its device. All views are differentiable in the images.
    """

    def __init__(self, settings: AugmentationSettings, *, flip: bool) -> None:
        """Args:
        settings: kind and strength.
        flip: true if the mirror image of a photograph has the same class.
        """
        self._settings = settings
        self._flip = flip and settings.kind == "photographs"
        self._reflects = settings.kind == "photographs"

    def weak(self, images: ImageBatch, pixel_range: tuple[float, float]) -> ImageBatch:
        """The images mirrored, if that is allowed, and shifted by whole pixels."""
        del pixel_range  # The pixels are those of the images.
        return self._moved(images)

    def labelled(self, images: ImageBatch, pixel_range: tuple[float, float]) -> ImageBatch:
        """Weak views, rotated, scaled and sheared, with other colours, for images with labels."""
        return self._changed(images, pixel_range, grey_share=0.0)

    def strong(self, images: ImageBatch, pixel_range: tuple[float, float]) -> ImageBatch:
        """Views as those of `labelled`, some of them grey, with a square cut out."""
        grey_share = self._settings.amount("grey")
        return self._cut(self._changed(images, pixel_range, grey_share=grey_share))

    def _changed(
        self, images: ImageBatch, pixel_range: tuple[float, float], *, grey_share: float
    ) -> ImageBatch:
        images = self._turned(self._moved(images), pixel_range)
        return self._coloured(images, pixel_range, grey_share)

    def _moved(self, images: ImageBatch) -> ImageBatch:
        height, width = images.shape[-2:]
        share = self._settings.amount("shift")
        largest_down, largest_right = round(share * height), round(share * width)
        if not (largest_down or largest_right or self._flip):
            return images
        rows = _shifted_positions(images, height, largest_down, reflects=self._reflects)
        columns = _shifted_positions(images, width, largest_right, reflects=self._reflects)
        if self._flip:
            mirrored = _uniform(images, 1) < 0
            columns = torch.where(mirrored, width - 1 - columns, columns)
        return _pixels_at(images, rows, columns)

    def _turned(self, images: ImageBatch, pixel_range: tuple[float, float]) -> ImageBatch:
        """Images rotated, scaled and sheared about their centres, interpolated linearly."""
        rotation, scale, shear = map(self._settings.amount, ("rotation", "scale", "shear"))
        if not (rotation or scale or shear):
            return images
        angle, zoom, slant = _uniform(images, 3).unbind(1)
        angle, zoom, slant = math.radians(rotation) * angle, 1 + scale * zoom, shear * slant
        # From positions in a view to those in the image, in pixels: a rotation times a shear, over the zoom.
        cosine, sine = angle.cos() / zoom, angle.sin() / zoom
        matrix = torch.stack(
            [cosine, slant * cosine - sine, sine, slant * sine + cosine], dim=1
        ).view(-1, 2, 2)
        # torch's coordinates go from -1 to 1 along each side.
        height, width = images.shape[-2:]
        sides = torch.tensor([width, height], dtype=images.dtype, device=images.device)
        matrix = matrix * sides / sides[:, None]
        grid = F.affine_grid(F.pad(matrix, (0, 1)), list(images.shape), align_corners=False)
        turned = F.grid_sample(
            images,
            grid,
            padding_mode="reflection" if self._reflects else "border",
            align_corners=False,
        )
        # Interpolation may round to a little outside.
        return _in_format_of(images, turned.clamp(*pixel_range))

    def _coloured(
        self, images: ImageBatch, pixel_range: tuple[float, float], grey_share: float
    ) -> ImageBatch:
        """Images with other brightness b, contrast c, saturation s and hue h.

            y = c A x + (1 - c) m + b (high - low), clamped to [low, high]
            A = G + s cos(h) (I - G) + s sin(h) K

        with x the colours of a pixel, m the mean of the image, G x the pixel without its colour, each channel
        the mean of all, and K x = (1, 1, 1) / sqrt(3) cross x, the turn about the grey axis.
        """
        amounts = map(self._settings.amount, ("brightness", "contrast", "saturation", "hue"))
        brightness, contrast, saturation, hue = amounts
        channels, (low, high) = images.shape[1], pixel_range
        if channels == 1:
            saturation = hue = grey_share = 0.0
        if not (brightness or contrast or saturation or hue or grey_share):
            return images
        b, c, s, h, g = _uniform(images, 5)[..., None, None].unbind(1)
        c, s, h = 1 + contrast * c, 1 + saturation * s, 2 * math.pi * hue * h
        offset = (1 - c) * images.mean(dim=(1, 2, 3))[:, None, None]
        offset = offset + (high - low) * brightness * b
        if channels == 1:
            matrix = c
        else:
            s = torch.where((g + 1) / 2 < grey_share, 0, s)
            mean, colour, turn = (
                torch.tensor(part, dtype=images.dtype, device=images.device)
                for part in (_MEAN, _COLOUR, _TURN)
            )
            matrix = c * (mean + s * h.cos() * colour + s * h.sin() * turn)
        coloured = torch.baddbmm(offset, matrix, images.flatten(2)).view(images.shape)
        return _in_format_of(images, coloured.clamp(low, high))

    def _cut(self, images: ImageBatch) -> ImageBatch:
        """Images with a square of the colour of their mean, centred at any pixel (DeVries & Taylor, 2017)."""
        height, width = images.shape[-2:]
        side = round(self._settings.amount("cutout") * min(height, width))
        if not side:
            return images
        square = (
            _random_band(images, height, side)[:, None, :, None]
            & _random_band(images, width, side)[:, None, None, :]
        )
        return _in_format_of(
            images, torch.where(square, images.mean(dim=(2, 3), keepdim=True), images)
        )


def view_examples(
    images: UInt8[np.ndarray, "batch height width channels"],
    settings: AugmentationSettings,
    *,
    flip: bool,
    seed: int,
) -> dict[str, UInt8[np.ndarray, "batch height width channels"]]:
    """Example images and their views, to look at.

    Args:
        images: images with levels 0 to 255.
        settings: kind and strength of the views.
        flip: true if the mirror image of a photograph has the same class.
        seed: seed of the draws; torch's own generator stays as it is.

    Returns:
        A dict of the same images as `images`, without changes, and as `weak`, `labelled` and `strong` views;
        `images` alone where there is no augmentation.
    """
    if settings.kind == "none":
        return {"images": images}
    augmentation = Augmentation(settings, flip=flip)
    floats = torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2)
    examples = {"images": images}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name in ("weak", "labelled", "strong"):
            view = getattr(augmentation, name)(floats, (0.0, 1.0))
            examples[name] = (view * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return examples


_MEAN = [[1 / 3] * 3] * 3
_COLOUR = [[2 / 3, -1 / 3, -1 / 3], [-1 / 3, 2 / 3, -1 / 3], [-1 / 3, -1 / 3, 2 / 3]]
_R = 1 / math.sqrt(3)
_TURN = [[0, -_R, _R], [_R, 0, -_R], [-_R, _R, 0]]
"""Matrices G, I - G and K of `Augmentation._coloured`."""


def _uniform(images: ImageBatch, count: int) -> Float[Tensor, "batch count"]:
    """Random numbers in [-1, 1), `count` for each image."""
    numbers = draw_rows(
        lambda rows: torch.rand(rows, count, dtype=images.dtype, device=images.device), len(images)
    )
    return 2 * numbers - 1


def _shifted_positions(
    images: ImageBatch, size: int, largest: int, *, reflects: bool
) -> Int64[Tensor, "batch size"]:
    """Indices of the image's rows, or columns, that make up a view after a random shift.

    Beyond the border they are reflected at the outermost pixel, or else repeat it.
    """
    device = images.device
    shifts = draw_rows(
        lambda rows: torch.randint(-largest, largest + 1, (rows, 1), device=device), len(images)
    )
    positions = torch.arange(size, device=device) + shifts
    if not reflects:
        return positions.clamp(0, size - 1)
    return size - 1 - (size - 1 - positions.abs()).abs()


def _pixels_at(
    images: ImageBatch, rows: Int64[Tensor, "batch height"], columns: Int64[Tensor, "batch width"]
) -> ImageBatch:
    batch, channels, _, width = images.shape
    indices = (width * rows[:, :, None] + columns[:, None, :]).view(batch, 1, -1)
    # Several times as fast as indexing by rows and columns.
    pixels = images.flatten(2).gather(2, indices.expand(-1, channels, -1)).view(images.shape)
    return _in_format_of(images, pixels)


def _random_band(images: ImageBatch, size: int, side: int) -> Bool[Tensor, "batch size"]:
    """True for the `side` rows, or columns, about a random one; fewer at the border."""
    device = images.device
    centres = draw_rows(lambda rows: torch.randint(size, (rows, 1), device=device), len(images))
    first = centres - side // 2
    positions = torch.arange(size, device=device)
    return (positions >= first) & (positions < first + side)


def _in_format_of(images: ImageBatch, view: ImageBatch) -> ImageBatch:
    """The view in the memory format of the images, channels last or first."""
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    if channels_last and not images.is_contiguous():
        return view.contiguous(memory_format=torch.channels_last)
    return view.contiguous()
