"""Build the two networks of a recipe from its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from convergan.errors import UserError
from convergan.networks.conv import ConvDiscriminator, ConvGenerator, VirtualConvGenerator
from convergan.networks.imagenet import ImageNetDiscriminator, ImageNetGenerator
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.mlp import MLPDiscriminator, MLPGenerator
from convergan.networks.module import ModuleDiscriminator
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.networks.residual import ResidualDiscriminator, ResidualGenerator
from convergan.recipes.networks import (
    ImageNetSettings,
    MLPSettings,
    ModuleSettings,
    NetworkSettings,
    PretrainedSettings,
    ResidualSettings,
)


def build_discriminator(
    settings: NetworkSettings, image_shape: tuple[int, int, int], outputs: int
) -> Discriminator:
    """The discriminator for images of `image_shape` (channels, height, width), with fresh weights."""
    if isinstance(settings, MLPSettings):
        return MLPDiscriminator(settings, image_shape, outputs)
    if isinstance(settings, ImageNetSettings):
        return ImageNetDiscriminator(settings, image_shape, outputs)
    if isinstance(settings, PretrainedSettings):
        return PretrainedDiscriminator(settings, image_shape, outputs)
    if isinstance(settings, ResidualSettings):
        return ResidualDiscriminator(settings, image_shape, outputs)
    if isinstance(settings, ModuleSettings):
        return ModuleDiscriminator(settings, image_shape, outputs)
    return ConvDiscriminator(settings, image_shape, outputs)


def build_generator(settings: NetworkSettings, image_shape: tuple[int, int, int]) -> Generator:
    """The generator of images of `image_shape` (channels, height, width), with fresh weights.

    Raises:
        UserError: networks of this kind have no generator.
    """
    if isinstance(settings, PretrainedSettings):
        raise UserError(
            "networks.kind: expected networks with a generator, got pretrained, which have none"
        )
    if isinstance(settings, MLPSettings):
        return MLPGenerator(settings, image_shape)
    if isinstance(settings, ImageNetSettings):
        return ImageNetGenerator(settings, image_shape)
    if isinstance(settings, ResidualSettings | ModuleSettings):
        return ResidualGenerator(settings, image_shape)
    if settings.generator_normalization == "virtual":
        return VirtualConvGenerator(settings, image_shape)
    return ConvGenerator(settings, image_shape)


@contextmanager
def without_memory() -> Iterator[None]:
    """Build networks, in the block, whose weights have shapes and no memory."""
    with torch.device("meta"), _WithoutRandomness():
        yield


class _WithoutRandomness(TorchFunctionMode):
    """Skip the random initialization of weights.

    For weights without memory, torch would load its compiler to do it, which takes a second.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "trunc_normal_", "uniform_"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
