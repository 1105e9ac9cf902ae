"""Memory and number of operations of a step of training, computed without training."""

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
from convergan.networks.minibatch_similarity import ComparingDiscriminator
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

_MAPS_IN_USE = 2
"""Feature maps in memory that are not saved for a gradient: input and output of the layer that runs."""


TracedT = TypeVar("TracedT")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of training for one process on its device."""

    memory_bytes: int
    """Peak memory without the images: weights, gradients, optimizer states and EMAs of all players, and
    the activations of the largest step."""

    step_operations: float
    """Additions and multiplications of one step of all players."""

    test_operations: float
    """Additions and multiplications of classifying one image, in batches of the usual size."""


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

    The networks are built and run on tensors that have shapes but no memory, with two small batches from
    which the cost of the whole batch is extrapolated. A custom network that cannot run without numbers gets
    real tensors. Costs that grow with the square of the batch size are underestimated; none is overestimated.

    Args:
        recipe: all settings.
        image_shape: channels, height and width.
        outputs: number of classes; 1 if there are none.
        bf16: True if the discriminator's and the baseline's steps are computed in bfloat16.
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
        return small, large, _fixed_bytes(recipe, image_shape, outputs)

    small, large, fixed_bytes = _on_fake_tensors(recipe.networks, image_shape, traced)

    def extrapolated(images: int, name: str) -> float:
        small_cost, large_cost = getattr(small, name), getattr(large, name)
        small_size, large_size = _TRACED_BATCH_SIZES
        slope = (large_cost - small_cost) / (large_size - small_size)
        return max(0.0, small_cost + slope * (images - small_size))

    in_blocks = device_type == "cpu" and isinstance(recipe.networks, ConvSettings)
    tested_at_once = batch_size(image_shape[1:], device_type)
    classified_at_once = 0 if in_blocks else tested_at_once
    classified_at_once = max(classified_at_once, small.references)
    if recipe.networks.data_dependent_initialization:
        classified_at_once = max(classified_at_once, INITIALIZATION_IMAGES)
    images_in_step = sum(sizes.get(group, sizes[UNLABELLED]) for group in _groups(recipe.objective))
    discriminator_map_bytes = (
        LARGEST_MAPS_BYTES if in_blocks else extrapolated(images_in_step, "discriminator_map_bytes")
    )
    activation_bytes = max(
        extrapolated(batch, "saved_bytes")
        + _MAPS_IN_USE
        * max(discriminator_map_bytes, extrapolated(sizes[GENERATED], "generator_map_bytes")),
        _MAPS_IN_USE * extrapolated(classified_at_once, "discriminator_map_bytes"),
        _MAPS_IN_USE * extrapolated(DIVERSITY_IMAGES, "generator_map_bytes"),
    )
    return Cost(
        memory_bytes=int(fixed_bytes + activation_bytes) + 4 * BANK_SIZE + _LIBRARIES_BYTES,
        step_operations=extrapolated(batch, "step_operations"),
        test_operations=extrapolated(tested_at_once, "test_operations") / tested_at_once,
    )


def classifying_bytes(
    network: PretrainedDiscriminator, image_shape: tuple[int, int, int], *, device_type: str
) -> int:
    """Peak memory, in bytes, of computing features with the network of the arm `frozen`.

    The network classifies one image to measure it.

    Args:
        network: the network, on the CPU.
        image_shape: channels, height and width.
        device_type: "cpu", "cuda" or "mps".
    """
    with torch.no_grad(), _LargestMap([*network.parameters()]) as largest_map:
        network(torch.zeros(1, *image_shape))
    weights = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    at_once = batch_size(network.seen_size_px, device_type)
    return weights + _MAPS_IN_USE * at_once * largest_map.largest_bytes + _LIBRARIES_BYTES


@dataclass(frozen=True, kw_only=True)
class _BatchCost:
    """The cost of one small batch."""

    saved_bytes: float
    """Memory that autograd saves in the largest step."""
    discriminator_map_bytes: float
    """Size of the largest feature map in the discriminator."""
    generator_map_bytes: float
    """Size of the largest feature map in the generator."""
    step_operations: float
    test_operations: float
    references: int
    """Number of images that the discriminator compares others with in evaluation."""


def _on_fake_tensors(
    networks: NetworkSettings, image_shape: tuple[int, int, int], task: Callable[[], TracedT]
) -> TracedT:
    """Run a task with tensors that have shapes but no memory or, if a custom network needs numbers, with real
    ones.

    Raises:
        UserError: a custom network does not take such images in training.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    if not isinstance(networks, ModuleSettings):
        with mode:
            return task()
    with suppress(Exception), mode:
        return task()
    with taking_images(networks, image_shape), torch.random.fork_rng(devices=[]):
        return task()


def _fixed_bytes(recipe: Recipe, image_shape: tuple[int, int, int], outputs: int) -> int:
    """Bytes of all players, which do not depend on the batch size."""
    discriminator = build_discriminator(recipe.networks, image_shape, outputs)
    total = _player_bytes(recipe, "discriminator", discriminator, with_ema=True)
    if "generator" in losses_of(recipe.objective):
        generator = build_generator(recipe.networks, image_shape)
        with_ema = recipe.optimizer.generator_averaging_rate < 1
        total += _player_bytes(recipe, "generator", generator, with_ema=with_ema)
    if recipe.baseline:
        total += _player_bytes(recipe, "baseline", discriminator, with_ema=True)
    return total


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
    """The cost of a batch with `rows` labelled images, and other groups of `relative_sizes` times as many."""
    losses = losses_of(objective)
    discriminator = build_discriminator(networks, image_shape, outputs)
    generator = build_generator(networks, image_shape) if "generator" in losses else None
    discriminator.group_size = rows
    for layer in discriminator.modules():
        if isinstance(layer, ImageByImage):
            # In one piece, which saves as much memory and takes less time to trace.
            layer.forward = super(ImageByImage, layer).forward  # type: ignore[method-assign]
    weights = _weights(discriminator, generator)
    sizes = {name: max(1, round(rows * relative)) for name, relative in relative_sizes}
    images = {name: torch.zeros(size, *image_shape) for name, size in sizes.items()}
    simultaneous = objective.is_simultaneous and generator is not None
    with FlopCounterMode(display=False) as discriminator_flops:
        real = [images.get(name, images[UNLABELLED]) for name in _real_groups(objective)]
        saved_bytes = _discriminator_step_bytes(
            discriminator, generator, real, sizes[GENERATED], bf16, through_generator=simultaneous
        )
        if TEACHER in losses["discriminator"].needs:
            with torch.no_grad():
                discriminator(images[UNLABELLED])
        if baseline and objective.is_supervised:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _saved_bytes(lambda: _output_sum(discriminator, [images[LABELLED]]), weights)
    with FlopCounterMode(display=False) as generator_flops:
        if generator is not None and not simultaneous:
            generator_step_bytes = _generator_step_bytes(
                objective, discriminator, generator, images[GENERATED]
            )
            saved_bytes = max(saved_bytes, generator_step_bytes)
    discriminator.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as test_flops:
            discriminator(images[LABELLED])
        references = 0
        if (
            isinstance(discriminator, ComparingDiscriminator)
            and discriminator.reference is not None
        ):
            # The largest map is that of the images alone: the number of references does not grow with theirs.
            references = len(discriminator.reference)
            discriminator.freeze_references()
        with _LargestMap(weights) as discriminator_map:
            discriminator(images[LABELLED])
        with _LargestMap(weights) as generator_map:
            if generator is not None:
                generator.eval()
                generator(generator.latent(rows, "cpu"))
    return _BatchCost(
        saved_bytes=saved_bytes,
        discriminator_map_bytes=discriminator_map.largest_bytes,
        generator_map_bytes=generator_map.largest_bytes,
        step_operations=discriminator_flops.get_total_flops()
        + objective.generator_steps * generator_flops.get_total_flops(),
        test_operations=test_flops.get_total_flops(),
        references=references,
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
    generator_weights = [] if generator is None else [*generator.parameters()]
    return [*discriminator.parameters(), *generator_weights]


def _discriminator_step_bytes(
    discriminator: Discriminator,
    generator: Generator | None,
    real: list[Tensor],
    generated_images: int,
    bf16: bool,
    *,
    through_generator: bool,
) -> int:
    """Bytes that autograd saves in the discriminator's step of `step.Game`."""

    def step() -> Tensor:
        if generator is None:
            return _output_sum(discriminator, real)
        with torch.set_grad_enabled(through_generator):
            generated = generator(generator.latent(generated_images, "cpu"))
        return _output_sum(discriminator, [*real, generated])

    with torch.autocast("cpu", torch.bfloat16, enabled=bf16 and not through_generator):
        return _saved_bytes(step, _weights(discriminator, generator))


def _generator_step_bytes(
    objective: ObjectiveSettings, discriminator: Discriminator, generator: Generator, images: Tensor
) -> int:
    """Bytes that autograd saves in a generator's step, in which the discriminator's weights are frozen."""
    weights = _weights(discriminator, generator)
    for weight in discriminator.parameters():
        weight.requires_grad_(False)
    compared = [images] if discriminator.compares_halves else []
    if not compared and UNLABELLED in losses_of(objective)["generator"].needs:
        with torch.no_grad():
            _output_sum(discriminator, [images])

    def step() -> Tensor:
        generated = generator(generator.latent(len(images), "cpu"))
        return _output_sum(discriminator, [*compared, generated])

    return _saved_bytes(step, weights)


def _output_sum(discriminator: Discriminator, batches: list[Tensor]) -> Tensor:
    output = discriminator(torch.cat(batches), [len(batch) for batch in batches])
    return output.logits.float().sum() + output.features.float().sum()


def _saved_bytes(forward: Callable[[], Tensor], weights: list[nn.Parameter]) -> int:
    """Run a forward and a backward pass; return the bytes that autograd saved in between, without the
    weights.
    """
    own = {weight.untyped_storage()._cdata for weight in weights}
    storages: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        # A reference to the storage prevents its address from being reused.
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    result.backward()
    return sum(storage.nbytes() for number, storage in storages.items() if number not in own)


class _LargestMap(TorchDispatchMode):
    """Recorder of the size of the largest tensor that an operation returns, apart from tensors of weights."""

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


def _player_bytes(recipe: Recipe, player: str, network: nn.Module, *, with_ema: bool) -> int:
    """Bytes of a player's weights, gradients, Adam moments and, if it has them, EMA and history."""
    total = sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    trained = sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    copies = 3 + losses_of(recipe.objective)[player].has_history
    return total * (2 if with_ema else 1) + trained * copies
