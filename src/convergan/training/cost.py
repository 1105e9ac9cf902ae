"""What a step of training costs in memory and arithmetic, found without doing it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from convergan.networks.build import NetworkSettings, build_discriminator, build_generator
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.layers import LARGEST_MAPS_BYTES, ImageByImage
from convergan.networks.noise import BANK_SIZE
from convergan.recipes.settings import ConvSettings, ObjectiveSettings, Recipe
from convergan.training.classify import BATCH_SIZE
from convergan.training.samples import DIVERSITY_IMAGES
from convergan.training.state import INITIALIZATION_IMAGES

_ROWS = (4, 8)
"""Images of a batch that are followed: what a larger one costs is extrapolated from these two."""

_LIBRARIES_BYTES = 40 * 10**6
"""Buffers of the libraries that compute."""

_MOVING_MAPS = 2
"""Maps beside those kept for the gradients that a pass holds: what comes into a layer and what goes out."""

_GROUPS = 3
"""Labelled, unlabelled and generated images: the discriminator's step sees a batch of each."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What training costs one process on its device."""

    memory_bytes: int
    """Held at most at once, without the images: weights, gradients, optimizers and averages of all players,
    and the activations of the largest step."""

    step_operations: float
    """Additions and multiplications of one step of all players."""

    test_operations: float
    """Of classifying one image."""


def training_cost(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    bf16: bool,
    processes: int = 1,
    device_type: str = "cpu",
) -> Cost:
    """The cost of training a recipe on images of `image_shape` (channels, height, width).

    The networks are built and run with tensors that have shapes but no memory, on a few images that stand for
    the batch. What grows with the square of the batch comes out too small by that, nothing too large.

    Args:
        recipe: all settings.
        image_shape: channels, height and width.
        outputs: classes, 1 where there are none.
        bf16: whether the discriminator's and the baseline's steps are computed so.
        processes: that share the batch.
        device_type: "cpu", "cuda" or "mps".

    Raises:
        UserError: the networks cannot take such images.
    """
    batch = max(1, recipe.batch_size // processes)
    with FakeTensorMode():
        few, more = (
            _follow(
                recipe.networks,
                recipe.objective,
                image_shape,
                outputs,
                rows=rows,
                bf16=bf16,
                baseline=recipe.baseline,
            )
            for rows in _ROWS
        )
        discriminator = build_discriminator(recipe.networks, image_shape, outputs)
        generator = build_generator(recipe.networks, image_shape)
        held = _player_bytes(recipe, discriminator, averaged=True) * (2 if recipe.baseline else 1)
        held += _player_bytes(recipe, generator, averaged=False)

    def of(images: int, name: str) -> float:
        first, second = getattr(few, name), getattr(more, name)
        return max(0.0, first + (second - first) / (_ROWS[1] - _ROWS[0]) * (images - _ROWS[0]))

    in_blocks = device_type == "cpu" and isinstance(recipe.networks, ConvSettings)
    judged_at_once = 0 if in_blocks else BATCH_SIZE
    if recipe.networks.data_dependent_initialization:
        judged_at_once = max(judged_at_once, INITIALIZATION_IMAGES)
    judging = LARGEST_MAPS_BYTES if in_blocks else of(_GROUPS * batch, "judging_bytes")
    moving = max(
        of(batch, "kept_bytes") + _MOVING_MAPS * max(judging, of(batch, "making_bytes")),
        _MOVING_MAPS * of(judged_at_once, "judging_bytes"),
        _MOVING_MAPS * of(DIVERSITY_IMAGES, "making_bytes"),
    )
    return Cost(
        memory_bytes=int(held + moving) + 4 * BANK_SIZE + _LIBRARIES_BYTES,
        step_operations=of(batch, "step_operations"),
        test_operations=of(1, "test_operations"),
    )


@dataclass(frozen=True, kw_only=True)
class _Followed:
    """What a batch of a few images costs."""

    kept_bytes: float
    judging_bytes: float
    """Of the largest map in the discriminator."""
    making_bytes: float
    """Of the largest map in the generator."""
    step_operations: float
    test_operations: float


@lru_cache(maxsize=64)
def _follow(
    networks: NetworkSettings,
    objective: ObjectiveSettings,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    rows: int,
    bf16: bool,
    baseline: bool,
) -> _Followed:
    discriminator = build_discriminator(networks, image_shape, outputs)
    generator = build_generator(networks, image_shape)
    discriminator.group_size = rows
    for layer in discriminator.modules():
        if isinstance(layer, ImageByImage):
            # In one piece: it keeps as much, and is followed sooner.
            layer.forward = super(ImageByImage, layer).forward  # type: ignore[method-assign]
    weights = [*discriminator.parameters(), *generator.parameters()]
    images = torch.empty(rows, *image_shape)
    with FlopCounterMode(display=False) as of_judging:
        labelled = [] if objective.discriminator == "binary" else [images]
        kept = _kept_by_discriminator(discriminator, generator, labelled, images, bf16)
        if baseline and labelled:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _kept(lambda: _judged(discriminator, labelled), weights)
    with FlopCounterMode(display=False) as of_making:
        kept = max(kept, _kept_by_generator(objective, discriminator, generator, images))
    discriminator.eval()
    generator.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as of_tests, _LargestMap(weights) as judging:
            discriminator(images)
        with _LargestMap(weights) as making:
            generator(generator.latent(rows, "cpu"))
    return _Followed(
        kept_bytes=kept,
        judging_bytes=judging.largest_bytes,
        making_bytes=making.largest_bytes,
        step_operations=of_judging.get_total_flops()
        + objective.generator_steps * of_making.get_total_flops(),
        test_operations=of_tests.get_total_flops(),
    )


def _kept_by_discriminator(
    discriminator: Discriminator,
    generator: Generator,
    labelled: list[Tensor],
    images: Tensor,
    bf16: bool,
) -> int:
    """Bytes that the discriminator's step, as `loop.fit` takes it, keeps."""
    with torch.no_grad():
        generated = generator(generator.latent(len(images), "cpu"))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return _kept(
            lambda: _judged(discriminator, [*labelled, images, generated]),
            [*discriminator.parameters()],
        )


def _kept_by_generator(
    objective: ObjectiveSettings, discriminator: Discriminator, generator: Generator, images: Tensor
) -> int:
    """Bytes that one of the generator's steps keeps; the discriminator's weights have no gradients then."""
    weights = [*discriminator.parameters(), *generator.parameters()]
    for weight in discriminator.parameters():
        weight.requires_grad_(False)
    beside = [images] if discriminator.compares_halves else []
    if not beside and objective.generator == "feature-matching":
        with torch.no_grad():
            _judged(discriminator, [images])

    def step() -> Tensor:
        made = generator(generator.latent(len(images), "cpu"))
        return _judged(discriminator, [*beside, made])

    return _kept(step, weights)


def _judged(discriminator: Discriminator, batches: list[Tensor]) -> Tensor:
    output = discriminator(torch.cat(batches), [len(batch) for batch in batches])
    return output.logits.float().sum() + output.features.float().sum()


def _kept(forward: Callable[[], Tensor], weights: list[nn.Parameter]) -> int:
    """Runs a pass forth and back; the bytes of all that it kept for that, but for the weights."""
    own = {weight.untyped_storage()._cdata for weight in weights}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        # A reference to the storage keeps its number from being given to another.
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    result.backward()
    return sum(storage.nbytes() for number, storage in kept.items() if number not in own)


class _LargestMap(TorchDispatchMode):
    """Notes the largest tensor that any operation gives and that is none made of a weight."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        super().__init__()
        self._of_weights = {weight.numel() for weight in weights}
        self.largest_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor) and part.numel() not in self._of_weights:
                self.largest_bytes = max(self.largest_bytes, part.nbytes)
        return result


def _player_bytes(recipe: Recipe, network: nn.Module, *, averaged: bool) -> int:
    """Weights, gradients, Adam's two means, the average, the history: of all of them what there is."""
    every = sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    trained = sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    copies = 3 + (recipe.objective.historical_averaging > 0)
    return every * (2 if averaged else 1) + trained * copies
