"""Floating-point operations of a training step, and the floor that they make: counted from layer sizes.

A multiplication and an addition are two operations. For one image, forward,

    dense                 2 inputs outputs
    convolution           2 inputs outputs kernel^2 pixels of its output
    transposed            2 inputs outputs kernel^2 pixels of its input

and backward as much again for the weights' gradient, and again for the inputs'. All else (noise, norms,
activations, Adam, EMAs) counts nothing, nor do algorithms that multiply less than the formula.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple

import torch

from convergan.recipes.networks import ConvSettings, MLPSettings
from convergan.recipes.settings import Recipe
from convergan.training.computation import discriminator_dtype
from harness.measure import MatrixProduct

CONV_SIZE_PX = 32
"""Size of images for which convolutions are counted."""


class StepOperations(NamedTuple):
    """Operations that one step of both players needs."""

    generating: int
    """The discriminator's step: the images that the generator makes for it, forward alone."""

    discriminator: int
    """The discriminator's step: labelled, unlabelled and generated images, forward and backward. These
    alone may be in a lower precision."""

    generator: int
    """The generator's step."""


def step_operations(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: int
) -> StepOperations:
    """The operations of one step of a semi-supervised recipe with feature matching.

    With d and g for all layers of the discriminator and of the generator, forward, f for the
    discriminator's up to its features, and d' and g' for all but the first, whose inputs need no
    gradient, one image costs

        generating     g
        discriminator  (d + d + d'), labelled, unlabelled and generated
        generator      f, real; (g + f), forward; f through the discriminator to its inputs; (g + g')
    """
    discriminator, generator = _layers(recipe, image_shape, classes)
    d, g = sum(discriminator), sum(generator)
    features = d - discriminator[-1]
    return StepOperations(
        generating=recipe.batch_size * g,
        discriminator=3 * recipe.batch_size * (3 * d - discriminator[0]),
        generator=recipe.batch_size * (3 * features + 3 * g - generator[0]),
    )


def classifying_operations(recipe: Recipe, image_shape: tuple[int, int, int], classes: int) -> int:
    """The operations to classify one image."""
    return sum(_layers(recipe, image_shape, classes)[0])


def products_for(
    precision: Literal["32-true", "bf16-mixed"], device: torch.device
) -> dict[str, MatrixProduct]:
    """A large matrix product in each dtype that a step multiplies in, by the dtype's name."""
    dtypes = {torch.float32, discriminator_dtype(precision)}
    return {str(dtype): MatrixProduct(device, dtype) for dtype in dtypes}


def rates_of(
    products: Mapping[str, MatrixProduct], seconds: Mapping[str, float]
) -> dict[torch.dtype, float]:
    """Operations per second in each dtype, from the seconds of its product."""
    return {product.dtype: product.operations / seconds[name] for name, product in products.items()}


def floor_seconds(
    operations: StepOperations,
    precision: Literal["32-true", "bf16-mixed"],
    rates: Mapping[torch.dtype, float],
) -> float:
    """Seconds of a step at these rates of matrix products, in operations a second."""
    full = operations.generating + operations.generator
    return (
        full / rates[torch.float32]
        + operations.discriminator / rates[discriminator_dtype(precision)]
    )


def _layers(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: int
) -> tuple[list[int], list[int]]:
    """Operations of each layer of the discriminator and of the generator, forward, for one image."""
    networks = recipe.networks
    if isinstance(networks, MLPSettings):
        pixels = prod(image_shape)
        return (
            _dense([pixels, *networks.hidden, classes]),
            _dense([networks.latent_size, *networks.generator_hidden, pixels]),
        )
    if isinstance(networks, ConvSettings) and image_shape[1:] == (CONV_SIZE_PX, CONV_SIZE_PX):
        channels = image_shape[0]
        return _conv_discriminator(networks, channels, classes), _conv_generator(networks, channels)
    raise ValueError(
        f"networks: expected dense ones, or convolutions for {CONV_SIZE_PX}x{CONV_SIZE_PX} pixels,"
        f" whose operations are counted, got {networks.kind} for images of {image_shape}"
    )


def _dense(widths: Sequence[int]) -> list[int]:
    return [2 * inputs * outputs for inputs, outputs in pairwise(widths)]


def _conv_discriminator(settings: ConvSettings, channels: int, classes: int) -> list[int]:
    narrow, wide, size = settings.width, 2 * settings.width, CONV_SIZE_PX
    # Channels in and out, side of the kernel, side of the output.
    layers = [
        (channels, narrow, 3, size),
        (narrow, narrow, 3, size),
        (narrow, narrow, 3, size // 2),
        (narrow, wide, 3, size // 2),
        (wide, wide, 3, size // 2),
        (wide, wide, 3, size // 4),
        (wide, wide, 3, size // 4 - 2),
        (wide, wide, 1, size // 4 - 2),
        (wide, wide, 1, size // 4 - 2),
    ]
    return [*map(_convolution, layers), *_dense([wide, classes])]


def _conv_generator(settings: ConvSettings, channels: int) -> list[int]:
    width, first = settings.generator_width, CONV_SIZE_PX // 8
    widths = [width, max(width // 2, 1), max(width // 4, 1), channels]
    # As above, but for the side of the input.
    layers = [
        (inputs, outputs, 5, first * 2**doublings)
        for doublings, (inputs, outputs) in enumerate(pairwise(widths))
    ]
    return [*_dense([settings.latent_size, width * first**2]), *map(_convolution, layers)]


def _convolution(layer: tuple[int, int, int, int]) -> int:
    inputs, outputs, kernel, side = layer
    return 2 * inputs * outputs * kernel**2 * side**2
