"""Small residual networks for images of any size and aspect.

Their cost hardly grows with the size: a few strided convolutions bring images to maps of some 16 px, where
all residual blocks are.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.recipes.settings import ModuleSettings, ResidualSettings

FIRST_STAGE_PX = 20
"""Largest shorter side of the maps in the first stage, if the images are larger: 32, 64 and 256 px come to
16 px, 28 px to 14, 33 px to 17."""

SMALLEST_PX = 2
"""Smallest shorter side that maps are halved to."""

STAGES = (1, 2, 4)
"""Channels of the stages, as multiples of the width."""

_SLOPE = 0.1
"""Of leaky ReLU below 0."""

_NORMALIZED_TOGETHER = 8
"""Groups of channels in group normalization, where their number can be so divided."""

_GENERATOR_FIRST_PX = 4
_GENERATOR_LAST_PX = 64
_GENERATOR_SMALLEST_WIDTH = 8


class ResidualDiscriminator(Discriminator):
    """Strided convolutions, three stages of residual blocks, the mean over all positions, a linear output.

    The stages have maps of at most `FIRST_STAGE_PX`, of half and of a quarter of it. The features are the
    means. With batch normalization the groups of a batch are those that `groups_of_batch` names.
    """

    pixel_range = (-1.0, 1.0)
    channels_last = True

    def __init__(
        self, settings: ResidualSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        halvings = _halvings_to(FIRST_STAGE_PX, min(height, width))
        first, *rest = _stem(settings, channels, halvings)
        self.first = first
        layers: list[nn.Module] = rest
        inputs, shorter_px = settings.width, _halved(min(height, width), halvings)
        for stage, multiple in enumerate(STAGES):
            halves = stage > 0 and _halved(shorter_px) >= SMALLEST_PX
            shorter_px = _halved(shorter_px, int(halves))
            for block in range(settings.blocks):
                stride = 2 if halves and block == 0 else 1
                layers.append(_Block(settings, inputs, multiple * settings.width, stride))
                inputs = multiple * settings.width
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(inputs, outputs)
        # "Generated" is an output of 0: real and generated are as likely where all these are -log(outputs).
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.constant_(self.output.bias, -math.log(outputs))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        # In bf16 a convolution of so few channels takes longer, and the images would be rounded.
        with torch.autocast(images.device.type, enabled=False):
            maps = self.first(images.contiguous(memory_format=torch.channels_last))
        features = self.layers(maps).mean(dim=(2, 3))
        return DiscriminatorOutput(self.output(self.dropout(features)), features)


class ResidualGenerator(Generator):
    """A dense layer, doublings of the size by repeating pixels, each before a 3x3 convolution, then tanh.

    Doublings start from maps whose shorter side has at most 4 px and come to any size exactly: the sizes are
    those of halving the image's, rounded up. Widths halve with each doubling, so that each costs alike; of
    more than 64 px, the last convolution makes several pixels of an image from each position.
    """

    pixel_range = (-1.0, 1.0)
    channels_last = True

    def __init__(
        self, settings: ResidualSettings | ModuleSettings, image_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_size = image_shape, settings.latent_size
        channels, height, width = image_shape
        self.pixels = 2 ** _halvings_to(_GENERATOR_LAST_PX, min(height, width))
        sizes = [(-(-height // self.pixels), -(-width // self.pixels))]
        while min(sizes[0]) > _GENERATOR_FIRST_PX:
            sizes.insert(0, (_halved(sizes[0][0]), _halved(sizes[0][1])))
        widths = [
            max(settings.generator_width // 2**level, _GENERATOR_SMALLEST_WIDTH)
            for level in range(len(sizes))
        ]
        self.sizes = sizes
        self.first_width = widths[0]
        # Batch normalization takes a bias before it away again.
        self.dense = nn.Linear(self.latent_size, widths[0] * math.prod(sizes[0]), bias=False)
        nn.init.normal_(self.dense.weight, std=0.05)
        self.dense_norm = BatchNormWithoutGain(self.dense.out_features)
        self.doublings = nn.ModuleList(
            nn.Sequential(
                _convolution(inputs, outputs, 3), BatchNormWithoutGain(outputs), nn.ReLU()
            )
            for inputs, outputs in pairwise(widths)
        )
        self.output = nn.Conv2d(widths[-1], channels * self.pixels**2, 3, padding=1)
        nn.init.normal_(self.output.weight, std=0.1 / math.sqrt(widths[-1]))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        maps = torch.relu(self.dense_norm(self.dense(latent)))
        maps = maps.unflatten(1, (self.first_width, *self.sizes[0]))
        maps = maps.contiguous(memory_format=torch.channels_last)
        for size, layers in zip(self.sizes[1:], self.doublings, strict=True):
            maps = layers(nn.functional.interpolate(maps, size=size, mode="nearest"))
        images = torch.tanh(nn.functional.pixel_shuffle(self.output(maps), self.pixels))
        _, height, width = self.image_shape
        return images[:, :, :height, :width]


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which are 0 at first."""

    def __init__(self, settings: ResidualSettings, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _convolution(inputs, outputs, 3, stride),
            _normalization(settings, outputs),
            nn.LeakyReLU(_SLOPE, inplace=True),
            _convolution(outputs, outputs, 3),
            _normalization(settings, outputs, gain=0.0),
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            # Sides may be odd; what is beyond the edge is not counted.
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if inputs != outputs:
            shortcut += [_convolution(inputs, outputs, 1), _normalization(settings, outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(
        self, maps: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs new_height new_width"]:
        return nn.functional.leaky_relu(self.branch(maps) + self.shortcut(maps), _SLOPE)


def _stem(settings: ResidualSettings, channels: int, halvings: int) -> Iterator[nn.Module]:
    """Convolutions that halve the size so many times: all but one at once, then the last one.

    Layers at the sizes between would cost more than all that comes after: at 256 px twice as much.
    """
    layers = [(2**halvings, settings.width)]
    if halvings > 1:
        layers = [(2 ** (halvings - 1), max(settings.width // 2, 1)), (2, settings.width)]
    for stride, outputs in layers:
        yield nn.Sequential(
            _convolution(channels, outputs, max(3, stride + 1), stride),
            _normalization(settings, outputs),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )
        channels = outputs


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without the bias that a normalization after it would take away again."""
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def _normalization(settings: ResidualSettings, channels: int, gain: float = 1.0) -> nn.Module:
    if settings.normalization == "group":
        norm = nn.GroupNorm(math.gcd(channels, _NORMALIZED_TOGETHER), channels)
        nn.init.constant_(norm.weight, gain)
        return norm
    batch_norm = nn.BatchNorm2d(channels)
    nn.init.constant_(batch_norm.weight, gain)
    return GroupedBatchNorm(batch_norm)


def _halvings_to(largest_px: int, px: int) -> int:
    """The number of halvings, rounded up, after which a side is at most `largest_px`."""
    halvings = 0
    while _halved(px, halvings) > largest_px:
        halvings += 1
    return halvings


def _halved(px: int, times: int = 1) -> int:
    """A side after halvings, each rounded up."""
    return -(-px // 2**times)
