"""A discriminator made of the user's own network, any `nn.Module`."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.errors import UserError, one_line, quoted
from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.recipes.networks import ModuleSettings, ResidualSettings
from convergan.recipes.settings import Recipe

Factory = Callable[[], nn.Module] | Callable[[tuple[int, int, int], int], nn.Module]
"""A class or function that makes a network with fresh weights at each call. It is called without arguments if
that is possible, else with the images' shape (channels, height, width) and the number of classes."""


class ModuleDiscriminator(Discriminator):
    """A module that gives logits [batch, classes], with the output of one of its layers as the features.

    Features that are maps [batch, channels, height, width] are averaged over their positions, other
    features are flattened. Batch normalizations become `GroupedBatchNorm`, in place.

    Raises:
        UserError: `settings.factory` is missing, makes no module, or a module without the features' layer.
    """

    pixel_range = (-1.0, 1.0)
    channels_last = True

    def __init__(
        self, settings: ModuleSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        network = _build_network(settings, image_shape, outputs)
        self.outputs = outputs
        self.network = GroupedBatchNorm.convert(network)
        layers = dict(self.network.named_modules())
        if settings.features:
            if settings.features not in layers:
                close = get_close_matches(settings.features, layers, n=1)
                perhaps = f", perhaps {close[0]}" if close else ""
                raise UserError(
                    f"features: expected the name of a layer of {settings.module}{perhaps}, got"
                    f" {quoted(settings.features)}"
                )
            layers[settings.features].register_forward_hook(_note_output)
        else:
            linear = [layer for layer in layers.values() if isinstance(layer, nn.Linear)]
            if not linear:
                raise UserError(
                    f"features: expected the name of a layer, as {settings.module} has no linear one whose"
                    " inputs could be the features, got nothing"
                )
            linear[-1].register_forward_pre_hook(_note_input)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        _noted.features = None
        logits = self.network(images)
        features, _noted.features = _noted.features, None
        shape = (images.shape[0], self.outputs)
        if not isinstance(logits, Tensor) or logits.shape != shape:
            actual = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UserError(
                f"network: expected logits {list(shape)} of {shape[0]} images, got {actual}"
            )
        if not isinstance(features, Tensor) or features.shape[0] != images.shape[0]:
            actual = list(features.shape) if isinstance(features, Tensor) else "no such tensor"
            raise UserError(
                f"features: expected a layer whose output has a row for each of {images.shape[0]} images, got"
                f" {actual}"
            )
        return DiscriminatorOutput(logits, features)


_noted = threading.local()
"""Features of the current pass in each thread: several threads may run one network."""


def _note_output(_layer: nn.Module, _inputs: Any, output: Any) -> None:
    # At once: a later layer may change it in place.
    if isinstance(output, Tensor) and output.ndim > 1:
        _noted.features = output.mean(dim=(2, 3)) if output.ndim == 4 else output.flatten(1)


def _note_input(layer: nn.Module, inputs: Any) -> None:
    _note_output(layer, None, inputs[0] if inputs else None)


def with_module(recipe: Recipe, network: Factory | None, features: str | None) -> Recipe:
    """The recipe with the user's own discriminator; it keeps its generator if that is a residual one.

    Args:
        recipe: all settings.
        network: class or function that makes the discriminator; None: the recipe stays as it is.
        features: the name of a layer; see `ModuleSettings`.

    Raises:
        UserError: `network` cannot be called, or `features` is no text or given without it.
    """
    if features is not None and not isinstance(features, str):
        raise UserError(f"features: expected the name of a layer, got {quoted(features)}")
    if network is None:
        if features is not None:
            raise UserError("features: expected nothing without a network of your own, got a name")
        return recipe
    if not callable(network) or isinstance(network, nn.Module):
        raise UserError(
            "network: expected a class or a function that makes a new network at each call, got"
            f" {type(network).__name__}; lambda: copy.deepcopy(network) is one"
        )
    generator: dict[str, Any] = {}
    if isinstance(recipe.networks, ResidualSettings | ModuleSettings):
        generator = {
            "generator_width": recipe.networks.generator_width,
            "latent_size": recipe.networks.latent_size,
        }
    settings = ModuleSettings(
        module=qualified_name(network), features=features or "", factory=network, **generator
    )
    return replace(recipe, networks=settings)


def qualified_name(network: Factory) -> str:
    """Module and name of a class or function; for a partial function, of the function that it calls."""
    function: Any = getattr(network, "func", network)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"


def _build_network(
    settings: ModuleSettings, image_shape: tuple[int, int, int], outputs: int
) -> nn.Module:
    factory = settings.factory
    if factory is None:
        raise UserError(
            f"networks.kind module: expected the network itself, {settings.module}, which"
            " train(recipe, out, network=...) takes from Python, got its name"
        )
    try:
        signature(factory).bind()
        arguments: tuple[Any, ...] = ()
    except (TypeError, ValueError):
        arguments = (image_shape, outputs)
    network = factory(*arguments)
    if not isinstance(network, nn.Module):
        raise UserError(
            f"network: expected a function that returns an nn.Module, got one that returns {quoted(network)}"
        )
    return network


@contextmanager
def taking_images(settings: ModuleSettings, image_shape: tuple[int, int, int]) -> Iterator[None]:
    """Turn any error that the user's network raises in the block into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        channels, height, width = image_shape
        raise UserError(
            f"network: expected a network that takes images [batch, {channels}, {height}, {width}], got"
            f" {settings.module}, which raises {type(error).__name__}: {one_line(error)}"
        ) from error


def require_module(
    settings: ModuleSettings, image_shape: tuple[int, int, int], outputs: int
) -> None:
    """Check the user's network on two images.

    Raises:
        UserError: it cannot be made, does not take images of `image_shape`, or returns no such logits.
    """
    with taking_images(settings, image_shape):
        first, second = (ModuleDiscriminator(settings, image_shape, outputs) for _ in range(2))
        if set(map(id, first.parameters())) & set(map(id, second.parameters())):
            # Baseline and folds would learn from each other.
            raise UserError(
                f"network: expected a new network at each call, got the same weights from {settings.module};"
                " lambda: copy.deepcopy(network) is one"
            )
        with torch.no_grad():
            first.eval()(torch.zeros(2, *image_shape))
