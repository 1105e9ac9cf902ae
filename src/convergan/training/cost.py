"""The memory and the arithmetic that a step of training takes, computed without training."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.classification import batch_size
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.layers import LARGEST_MAPS_BYTES, ImageByImage
from convergan.networks.module import taking_images
from convergan.networks.noise import BANK_SIZE
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.networks import ConvSettings, ModuleSettings, NetworkSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.training.batch import GENERATED, GROUPS, LABELLED, UNLABELLED, batch_sizes
from convergan.training.objective import losses_of
from convergan.training.players import INITIALIZATION_IMAGES
from convergan.training.samples import DIVERSITY_IMAGES
from convergan.training.terms.term import TEACHER

_TRACED_BATCH_SIZES = (4, 8)
"""Batch sizes that are traced; the cost of larger batches is extrapolated from these two."""

_LIBRARIES_BYTES = 40 * 10**6
"""Memory taken by the buffers of the numerical libraries."""

_MOVING_MAPS = 2
"""Feature maps that a pass holds for no gradient: the input and the output of the layer that runs."""


TracedT = TypeVar("TracedT")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of training for one process on its device."""

    memory_bytes: int
    """Peak memory without the images: weights, gradients, optimizer states and averages of all players, and
    the activations of the largest step."""

    step_operations: float
    """Additions and multiplications of one step of all players."""

    test_operations: float
    """Additions and multiplications of classifying one image."""


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
    the batch; one of one's own that cannot do without numbers, with others. Costs that grow with the square
    of the batch size are underestimated, none is overestimated.

    Args:
        recipe: all settings.
        image_shape: channels, height and width.
        outputs: classes, 1 where there are none.
        bf16: whether the discriminator's and the baseline's steps are computed in bfloat16.
        processes: number of processes that share the batch.
        device_type: "cpu", "cuda" or "mps".

    Raises:
        UserError: the networks cannot take such images.
    """
    sizes = {name: max(1, size // processes) for name, size in batch_sizes(recipe).items()}
    batch = sizes[LABELLED]
    relative = tuple((name, size / batch) for name, size in sizes.items())

    def traced() -> tuple[_BatchCost, _BatchCost, int]:
        small, large = (
            _trace(
                recipe.networks,
                recipe.objective,
                image_shape,
                outputs,
                rows=rows,
                relative_sizes=relative,
                bf16=bf16,
                baseline=recipe.baseline,
            )
            for rows in _TRACED_BATCH_SIZES
        )
        return small, large, _held_bytes(recipe, image_shape, outputs)

    small, large, held = _without_numbers(recipe.networks, image_shape, traced)

    def extrapolated(images: int, name: str) -> float:
        small_cost, large_cost = getattr(small, name), getattr(large, name)
        small_size, large_size = _TRACED_BATCH_SIZES
        slope = (large_cost - small_cost) / (large_size - small_size)
        return max(0.0, small_cost + slope * (images - small_size))

    in_blocks = device_type == "cpu" and isinstance(recipe.networks, ConvSettings)
    judged_at_once = 0 if in_blocks else batch_size(image_shape[1:], device_type)
    if recipe.networks.data_dependent_initialization:
        judged_at_once = max(judged_at_once, INITIALIZATION_IMAGES)
    images_in_step = sum(sizes.get(group, sizes[UNLABELLED]) for group in _groups(recipe.objective))
    judging = LARGEST_MAPS_BYTES if in_blocks else extrapolated(images_in_step, "judging_bytes")
    moving = max(
        extrapolated(batch, "kept_bytes")
        + _MOVING_MAPS * max(judging, extrapolated(sizes[GENERATED], "making_bytes")),
        _MOVING_MAPS * extrapolated(judged_at_once, "judging_bytes"),
        _MOVING_MAPS * extrapolated(DIVERSITY_IMAGES, "making_bytes"),
    )
    return Cost(
        memory_bytes=int(held + moving) + 4 * BANK_SIZE + _LIBRARIES_BYTES,
        step_operations=extrapolated(batch, "step_operations"),
        test_operations=extrapolated(1, "test_operations"),
    )


def classifying_bytes(
    network: PretrainedDiscriminator, image_shape: tuple[int, int, int], *, device_type: str
) -> int:
    """Peak memory of computing features with a network of the arm `frozen`, which sees an image for that.

    Args:
        network: on the CPU.
        image_shape: channels, height and width.
        device_type: "cpu", "cuda" or "mps".
    """
    with torch.no_grad(), _LargestMap([*network.parameters()]) as judging:
        network(torch.zeros(1, *image_shape))
    weights = sum(each.nbytes for each in (*network.parameters(), *network.buffers()))
    at_once = batch_size(network.seen_size_px, device_type)
    return weights + _MOVING_MAPS * at_once * judging.largest_bytes + _LIBRARIES_BYTES


@dataclass(frozen=True, kw_only=True)
class _BatchCost:
    """The cost of one batch of a few images."""

    kept_bytes: float
    judging_bytes: float
    """Size of the largest feature map in the discriminator."""
    making_bytes: float
    """Size of the largest feature map in the generator."""
    step_operations: float
    test_operations: float


def _without_numbers(
    networks: NetworkSettings, image_shape: tuple[int, int, int], task: Callable[[], TracedT]
) -> TracedT:
    """Does a task with tensors that have shapes but no memory; where a network of one's own cannot do without
    numbers, with others.

    Raises:
        UserError: a network of one's own does not take such images in training.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    if not isinstance(networks, ModuleSettings):
        with mode:
            return task()
    with suppress(Exception), mode:
        return task()
    with taking_images(networks, image_shape), torch.random.fork_rng(devices=[]):
        return task()


def _held_bytes(recipe: Recipe, image_shape: tuple[int, int, int], outputs: int) -> int:
    """Bytes of all players, whatever the batch."""
    discriminator = build_discriminator(recipe.networks, image_shape, outputs)
    held = _player_bytes(recipe, "discriminator", discriminator, averaged=True)
    if "generator" in losses_of(recipe.objective):
        generator = build_generator(recipe.networks, image_shape)
        averaged = recipe.optimizer.generator_averaging_rate < 1
        held += _player_bytes(recipe, "generator", generator, averaged=averaged)
    if recipe.baseline:
        held += _player_bytes(recipe, "baseline", discriminator, averaged=True)
    return held


@lru_cache(maxsize=64)
def _trace(
    networks: NetworkSettings,
    objective: ObjectiveSettings,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    rows: int,
    relative_sizes: tuple[tuple[str, float], ...],
    bf16: bool,
    baseline: bool,
) -> _BatchCost:
    """The cost of a batch of `rows` labelled images, and of groups that are larger by `relative_sizes`."""
    losses = losses_of(objective)
    discriminator = build_discriminator(networks, image_shape, outputs)
    generator = build_generator(networks, image_shape) if "generator" in losses else None
    discriminator.group_size = rows
    for layer in discriminator.modules():
        if isinstance(layer, ImageByImage):
            # In one piece: as much memory is kept, and tracing takes less time.
            layer.forward = super(ImageByImage, layer).forward  # type: ignore[method-assign]
    weights = _weights(discriminator, generator)
    sizes = {name: max(1, round(rows * relative)) for name, relative in relative_sizes}
    images = {name: torch.zeros(size, *image_shape) for name, size in sizes.items()}
    simultaneous = objective.is_simultaneous and generator is not None
    with FlopCounterMode(display=False) as discriminator_flops:
        real = [images.get(name, images[UNLABELLED]) for name in _real_groups(objective)]
        kept = _kept_by_discriminator(
            discriminator, generator, real, sizes[GENERATED], bf16, through_generator=simultaneous
        )
        if TEACHER in losses["discriminator"].needs:
            with torch.no_grad():
                discriminator(images[UNLABELLED])
        if baseline and objective.is_supervised:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _kept(lambda: _judged(discriminator, [images[LABELLED]]), weights)
    with FlopCounterMode(display=False) as generator_flops:
        if generator is not None and not simultaneous:
            of_generator = _kept_by_generator(
                objective, discriminator, generator, images[GENERATED]
            )
            kept = max(kept, of_generator)
    discriminator.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as test_flops, _LargestMap(weights) as judging:
            discriminator(images[LABELLED])
        with _LargestMap(weights) as making:
            if generator is not None:
                generator.eval()
                generator(generator.latent(rows, "cpu"))
    return _BatchCost(
        kept_bytes=kept,
        judging_bytes=judging.largest_bytes,
        making_bytes=making.largest_bytes,
        step_operations=discriminator_flops.get_total_flops()
        + objective.generator_steps * generator_flops.get_total_flops(),
        test_operations=test_flops.get_total_flops(),
    )


def _groups(objective: ObjectiveSettings) -> frozenset[str]:
    """The groups of images in the discriminator's step."""
    losses = losses_of(objective)
    groups = (losses["discriminator"].needs & set(GROUPS)) | {UNLABELLED}
    if objective.shared_real_batch and LABELLED in groups:
        groups -= {UNLABELLED}
    return groups | ({GENERATED} if "generator" in losses else set())


def _real_groups(objective: ObjectiveSettings) -> list[str]:
    """The groups of real images in the discriminator's step, in the order of their names."""
    return sorted(_groups(objective) - {GENERATED})


def _weights(discriminator: Discriminator, generator: Generator | None) -> list[nn.Parameter]:
    of_generator = [] if generator is None else [*generator.parameters()]
    return [*discriminator.parameters(), *of_generator]


def _kept_by_discriminator(
    discriminator: Discriminator,
    generator: Generator | None,
    real: list[Tensor],
    generated_images: int,
    bf16: bool,
    *,
    through_generator: bool,
) -> int:
    """Bytes that autograd keeps in the discriminator's step, as `step.Game` takes it."""

    def step() -> Tensor:
        if generator is None:
            return _judged(discriminator, real)
        with torch.set_grad_enabled(through_generator):
            generated = generator(generator.latent(generated_images, "cpu"))
        return _judged(discriminator, [*real, generated])

    with torch.autocast("cpu", torch.bfloat16, enabled=bf16 and not through_generator):
        return _kept(step, _weights(discriminator, generator))


def _kept_by_generator(
    objective: ObjectiveSettings, discriminator: Discriminator, generator: Generator, images: Tensor
) -> int:
    """Bytes that autograd keeps in a generator's step, in which the discriminator's weights are frozen."""
    weights = _weights(discriminator, generator)
    for weight in discriminator.parameters():
        weight.requires_grad_(False)
    compared = [images] if discriminator.compares_halves else []
    if not compared and UNLABELLED in losses_of(objective)["generator"].needs:
        with torch.no_grad():
            _judged(discriminator, [images])

    def step() -> Tensor:
        made = generator(generator.latent(len(images), "cpu"))
        return _judged(discriminator, [*compared, made])

    return _kept(step, weights)


def _judged(discriminator: Discriminator, batches: list[Tensor]) -> Tensor:
    output = discriminator(torch.cat(batches), [len(batch) for batch in batches])
    return output.logits.float().sum() + output.features.float().sum()


def _kept(forward: Callable[[], Tensor], weights: list[nn.Parameter]) -> int:
    """Runs a forward and a backward pass; gives the bytes that autograd kept for it, without the weights."""
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
    """Records the size of the largest tensor that an operation returns, without those made from weights."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        super().__init__()
        self._weight_sizes = {weight.numel() for weight in weights}
        self.largest_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor) and part.numel() not in self._weight_sizes:
                self.largest_bytes = max(self.largest_bytes, part.nbytes)
        return result


def _player_bytes(recipe: Recipe, player: str, network: nn.Module, *, averaged: bool) -> int:
    """Bytes of a player's weights, gradients, Adam moments and, where it has them, averages and history."""
    total = sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    trained = sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    copies = 3 + losses_of(recipe.objective)[player].has_history
    return total * (2 if averaged else 1) + trained * copies
