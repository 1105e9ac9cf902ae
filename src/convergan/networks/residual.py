"""Small residual networks for images of any size and aspect.

Their cost hardly grows with the size: one strided convolution brings large images to maps of some 32 px.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.recipes.networks import ModuleSettings, ResidualSettings

FIRST_MAPS_PX = 40
"""Largest shorter side of the first maps: images of 28 and 32 px keep their size; those of 64, 128 and
256 px come to 32 px, those of 100 px to 25. Halving images of 32 px at once, too, costs much accuracy."""

SMALLEST_PX = 2
"""Smallest shorter side that maps are halved to."""

STAGES = 2
"""Number of stages: pairs of residual blocks and a convolution that doubles the channels."""

_SLOPE = 0.1
"""Slope of leaky ReLU below 0."""

_NORMALIZED_TOGETHER = 8
"""Number of groups of channels in group normalization, if it divides the number of channels."""

_GENERATOR_FIRST_PX = 4
_GENERATOR_LAST_PX = 64
_GENERATOR_SMALLEST_WIDTH = 8


class ResidualDiscriminator(Discriminator):
    """Convolutions at the images' size; stages at half and at a quarter of it, each of residual blocks and a
    convolution to twice as many channels; the largest activations of each channel; a linear output.

    Maps are halved by their largest activations before each stage and after the last one, as far as their
    size allows. The features are the largest activations of each of the 4 `width` channels. With batch
    normalization the groups of a batch are those that `groups_of_batch` names.
    """

    pixel_range = (-1.0, 1.0)
    channels_last = True

    def __init__(
        self, settings: ResidualSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        halvings = _halvings_to(FIRST_MAPS_PX, min(height, width))
        px = _halved(min(height, width), halvings)
        narrow, channels_now = max(settings.width // 2, 1), settings.width
        layers: list[nn.Module] = [
            _layer(settings, channels, narrow, stride=2**halvings),
            _layer(settings, narrow, channels_now),
        ]
        for _ in range(STAGES):
            px = _halve(layers, px)
            layers += [_Block(settings, channels_now) for _ in range(settings.blocks)]
            layers.append(_layer(settings, channels_now, 2 * channels_now))
            channels_now *= 2
        _halve(layers, px)
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(channels_now, outputs)
        # "Generated" is an output of 0: real and generated are as likely where all these are -log(outputs).
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.constant_(self.output.bias, -math.log(outputs))

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        maps = self.layers(images.contiguous(memory_format=torch.channels_last))
        features = maps.amax(dim=(2, 3))
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
        self.output = _channels_last(nn.Conv2d(widths[-1], channels * self.pixels**2, 3, padding=1))
        nn.init.normal_(self.output.weight, std=0.1 / math.sqrt(widths[-1]))

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
    """Two 3x3 convolutions whose input is added to their output."""

    def __init__(self, settings: ResidualSettings, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_layer(settings, channels, channels),
            _convolution(channels, channels, 3),
            _normalization(settings, channels),
        )

    def forward(
        self, maps: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        return nn.functional.leaky_relu(self.branch(maps) + maps, _SLOPE)


def _layer(
    settings: ResidualSettings, inputs: int, outputs: int, *, stride: int = 1
) -> nn.Sequential:
    """A normalized convolution with leaky ReLU, whose kernel covers all pixels at any stride."""
    return nn.Sequential(
        _convolution(inputs, outputs, max(3, stride + 1), stride),
        _normalization(settings, outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _halve(layers: list[nn.Module], px: int) -> int:
    """Add a layer that halves maps of this shorter side, unless they get too small; return the new side."""
    if _halved(px) < SMALLEST_PX:
        return px
    layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return _halved(px)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without a bias, which the normalization after it would cancel."""
    return _channels_last(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    )


def _channels_last(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with channels-last weights; `Module.to` cannot convert tensors without memory."""
    layer.weight = nn.Parameter(layer.weight.detach().contiguous(memory_format=torch.channels_last))
    return layer


def _normalization(settings: ResidualSettings, channels: int) -> nn.Module:
    if settings.normalization == "group":
        return nn.GroupNorm(math.gcd(channels, _NORMALIZED_TOGETHER), channels)
    return GroupedBatchNorm(nn.BatchNorm2d(channels))


def _halvings_to(largest_px: int, px: int) -> int:
    """The number of halvings, rounded up, after which a side is at most `largest_px`."""
    halvings = 0
    while _halved(px, halvings) > largest_px:
        halvings += 1
    return halvings


def _halved(px: int, times: int = 1) -> int:
    """A side after halvings, each rounded up."""
    return -(-px // 2**times)
