"""Preparation of a training, before anything is written: images, labels, networks and recipe must fit
together.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch

from convergan.data.encoded_source import Source
from convergan.data.image_set import UNLABELLED, DataSet
from convergan.data.image_sizes import first_size
from convergan.data.source import open_data_set
from convergan.data.splits import (
    Split,
    draw_folds,
    draw_hold_out,
    draw_split,
    number_of_folds,
)
from convergan.distributed import rank
from convergan.errors import UserError, one_line
from convergan.networks.build import build_discriminator, build_generator, without_memory
from convergan.networks.module import require_module
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.arms import (
    FROZEN,
    arm_names,
    arm_recipe,
    has_arms,
    without_classes,
)
from convergan.recipes.members import is_ensemble, split_seed
from convergan.recipes.networks import ModuleSettings
from convergan.recipes.settings import Recipe
from convergan.training.computation import require_compiler
from convergan.training.cost import Cost
from convergan.training.memory import require_memory, require_memory_of_frozen
from convergan.training.objective import losses_of, require_views

CPU = torch.device("cpu")

ARRAYS = "arrays"
"""Name of the source in a recipe whose images came from Python."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A recipe with its images, which are divided for training."""

    recipe: Recipe
    """The recipe, adapted to these images, with absolute paths."""
    data: DataSet
    split: Split
    """Division of the images that the result is trained on."""
    folds: list[Split]
    """Divisions for cross-validation, if there are few labels and no test set. In a run with arms: the
    division, or the folds, whose held-out labels choose among the arms."""
    cost: Cost | None
    """Cost of each training or, with several arms, of the one that takes the most memory; None if the run is
    finished."""

    @property
    def fold_count(self) -> int:
        """Number of folds of the cross-validation; 0 if there is none, or only one division."""
        return len(self.folds) if len(self.folds) > 1 else 0


def prepare(
    recipe: Recipe,
    data: DataSet | None,
    *,
    processes: int,
    device: torch.device = CPU,
    progress: Callable[[int, int], None] | None = None,
    on_source: Callable[[Recipe, Source], None] | None = None,
    finished: bool = False,
) -> Preparation:
    """Open the images, unless they are given, divide them, and check that the recipe fits them.

    Args:
        recipe: all settings.
        data: images from Python, in place of those that the recipe names.
        processes: number of processes that train together.
        device: device to train on.
        progress: called with (images done, images in all) while images are decoded.
        on_source: called with the recipe and the source once the images have been found; its errors are
            passed on.
        finished: True if nothing is left to be trained, so that the cost of training is not computed.

    Raises:
        UserError: the images cannot be read, there are too few labels, the networks cannot take such images
            or do not fit in memory, the batch cannot be divided among the processes, there is no compiler, or
            a term compares views but the recipe has no augmentation.
    """
    for name, size in (
        ("batch-size", recipe.batch_size),
        ("unlabelled-batch-size", recipe.unlabelled_batch_size),
        ("generated-batch-size", recipe.generated_batch_size),
    ):
        if size is not None and (size % processes or size < 2 * processes):
            raise UserError(
                f"{name}: expected a multiple of the {processes} processes, at least 2 for each, got {size}"
            )
    require_compiler(recipe.hardware)
    arm_names(recipe)
    require_views(recipe)
    if data is None:
        memory_check = partial(
            _require_memory_before_decoding, recipe, device=device, processes=processes
        )
        recipe, data = _open(
            recipe,
            progress=progress,
            on_source=None if finished else on_source,
            before_decoding=None if finished else memory_check,
        )
    else:
        recipe = replace(recipe, data=replace(recipe.data, source=ARRAYS, path=None))
    recipe, data = _fitted_to_data(recipe, data)
    split, folds = _splits(recipe, data)
    _require_labels_of_all(recipe, split)
    outputs = max(len(data.classes), 1)
    if isinstance(recipe.networks, ModuleSettings):
        require_module(recipe.networks, image_shape(data), outputs)
    else:
        for trained_recipe in _trained_recipes(recipe).values():
            _require_networks(trained_recipe, image_shape(data), outputs)
    # On a CPU the images are in memory by now.
    resident = data.train.images.nbytes <= recipe.data.resident_bytes
    cost = None
    if not finished:
        cost = _required_memory(
            recipe,
            image_shape(data),
            outputs,
            device=device,
            processes=processes,
            images_bytes=data.train.images.nbytes if resident and device.type == "cuda" else 0,
        )
        if FROZEN in arm_names(recipe):
            _require_frozen(recipe, image_shape(data), outputs, device=device, processes=processes)
    return Preparation(recipe=recipe, data=data, split=split, folds=folds, cost=cost)


def _open(
    recipe: Recipe,
    *,
    progress: Callable[[int, int], None] | None,
    on_source: Callable[[Recipe, Source], None] | None,
    before_decoding: Callable[[Source], None] | None,
) -> tuple[Recipe, DataSet]:
    """Open the images that the recipe names; return the recipe with absolute paths, and the images."""
    settings = recipe.data
    if settings.size_px is not None and not isinstance(recipe.networks, ModuleSettings):
        # The images have at least this shape.
        shape = (settings.channels or 1, settings.size_px, settings.size_px)
        _require_networks(recipe, shape, 1)
    if settings.source == ARRAYS:
        raise UserError(
            "data.source: expected images that can be opened again, got those of a run on arrays; "
            "call train(recipe, out, data=...) from Python"
        )
    if settings.path is not None:
        settings = replace(settings, path=settings.path.resolve())
        recipe = replace(recipe, data=settings)
    data = open_data_set(
        settings,
        progress=progress,
        on_source=None if on_source is None else partial(on_source, recipe),
        before_decoding=before_decoding,
    )
    return recipe, data


def _require_memory_before_decoding(
    recipe: Recipe, source: Source, *, device: torch.device, processes: int
) -> None:
    """Refuse networks that do not fit in memory before time is spent on decoding images.

    Custom networks are checked later, because they may accept only images of the actual shape.
    """
    if isinstance(recipe.networks, ModuleSettings):
        return
    side_px = recipe.data.size_px
    size = first_size(source) if side_px is None else (side_px, side_px)
    if size is None:
        return
    # Grey images take less memory than colour images; what is unknown must not cause a refusal.
    shape = (recipe.data.channels or 1, *size)
    fitted, classes = _fitted(recipe, source.classes, source.place)
    _required_memory(fitted, shape, max(len(classes), 1), device=device, processes=processes)


def _trained_recipes(recipe: Recipe) -> dict[str | None, Recipe]:
    """The recipe of each arm that is trained in steps, by its name or, without arms, the recipe itself by
    None.
    """
    if not has_arms(recipe):
        return {None: recipe}
    return {name: arm_recipe(recipe, name) for name in arm_names(recipe) if name != FROZEN}


def _required_memory(
    recipe: Recipe,
    shape: tuple[int, int, int],
    outputs: int,
    *,
    device: torch.device,
    processes: int,
    images_bytes: int = 0,
) -> Cost:
    """The cost of the training that takes the most memory, after a check that each fits."""
    costs = [
        require_memory(
            trained_recipe,
            shape,
            outputs,
            device=device,
            processes=processes,
            images_bytes=images_bytes,
            arm=arm,
        )
        for arm, trained_recipe in _trained_recipes(recipe).items()
    ]
    return max(costs, key=lambda cost: cost.memory_bytes)


def _require_frozen(
    recipe: Recipe,
    shape: tuple[int, int, int],
    outputs: int,
    *,
    device: torch.device,
    processes: int,
) -> None:
    """Load the network of the arm `frozen`, which is trained last, so that its problems appear now."""
    settings = recipe.frozen.networks
    try:
        network = PretrainedDiscriminator(settings, shape, outputs)
        require_memory_of_frozen(network, settings, shape, device=device, processes=processes)
        network.load_pretrained()
    except UserError as error:
        # The settings of these networks have another name where they belong to the arm.
        raise UserError(re.sub(r"\bnetworks\.(?=model)", "frozen.", str(error))) from error


def image_shape(data: DataSet) -> tuple[Literal[1, 3], int, int]:
    """Channels, height and width of the training images."""
    _, height, width, channels = data.train.images.shape
    return (1 if channels == 1 else 3), height, width


def _require_networks(recipe: Recipe, shape: tuple[int, int, int], outputs: int) -> None:
    """Build both networks without memory or weights, so that their errors appear before a run begins."""
    try:
        with without_memory():
            build_discriminator(recipe.networks, shape, outputs)
            if "generator" in losses_of(recipe.objective):
                build_generator(recipe.networks, shape)
    except (RuntimeError, OverflowError, TypeError) as error:
        # The size of a layer exceeds 64 bits.
        raise UserError(
            f"networks: expected networks for images of {shape[2]}x{shape[1]} px that fit in memory, got "
            f"settings of which torch says: {one_line(error)}"
        ) from error


def _splits(recipe: Recipe, data: DataSet) -> tuple[Split, list[Split]]:
    """The split to train the result on, and those of the folds of the cross-validation, if there is one."""
    settings, labels, seed = recipe.data, recipe.labels, split_seed(recipe)
    validation_share = settings.validation_share
    if has_arms(recipe):
        return _splits_for_arms(recipe, data)
    folds = number_of_folds(settings, data, labels)
    split = draw_split(
        data,
        labels=labels,
        seed=seed,
        validation_share=validation_share,
        test_share=None if folds else settings.test_share,
    )
    if not folds:
        return split, []
    return split, draw_folds(
        data, labels=labels, seed=seed, folds=folds, validation_share=validation_share
    )


def _require_labels_of_all(recipe: Recipe, split: Split) -> None:
    """Check that no image is left out if labelled images also serve as the unlabelled ones."""
    training = split.training
    labelled, unlabelled = len(training.labelled), len(training.unlabelled)
    if recipe.objective.shared_real_batch and 0 < labelled < unlabelled - len(training.validation):
        raise UserError(
            f"labels: expected those of all {unlabelled:,} training images where"
            f" objective.shared-real-batch is on, as no others are seen then, got {labelled:,}"
        )


def _splits_for_arms(recipe: Recipe, data: DataSet) -> tuple[Split, list[Split]]:
    """The split with all labels, and those with held-out labels, which choose among the arms and, without a
    test set, estimate the errors.
    """
    settings, labels, seed = recipe.data, recipe.labels, split_seed(recipe)
    share = settings.validation_share
    split = draw_split(data, labels=labels, seed=seed, validation_share=share, test_share=None)
    if not data.classes or (data.test is not None and len(arm_names(recipe)) == 1):
        return split, []
    if settings.folds:
        folds = draw_folds(
            data, labels=labels, seed=seed, folds=settings.folds, validation_share=share
        )
        return split, folds
    held_out = draw_hold_out(
        data, labels=labels, seed=seed, share=settings.test_share, validation_share=share
    )
    return split, [] if held_out is None else [held_out]


def _fitted(
    recipe: Recipe, classes: tuple[str, ...], source: str
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe adapted to images of these classes, and the classes that it uses.

    It uses none if no image is labelled or if the recipe does not learn classes.

    Raises:
        UserError: the recipe needs classes, and there are none.
    """
    if classes and recipe.objective.is_supervised:
        return recipe, classes
    if recipe.labels is not None and not classes:
        raise UserError(
            f"labels: expected none, as no image of {source} is labelled, got {recipe.labels}"
        )
    if recipe.arms:
        raise UserError(
            f"arms: expected none where there are no classes to learn, got {recipe.arms[0]}"
        )
    if is_ensemble(recipe):
        raise UserError(
            f"members: expected 1 where there are no classes to learn, got {recipe.members}"
        )
    objective = without_classes(recipe.objective)
    return replace(recipe, objective=objective, baseline=False, labels=None), ()


def _fitted_to_data(recipe: Recipe, data: DataSet) -> tuple[Recipe, DataSet]:
    """The recipe adapted to these images, and the images, without labels and tests if it uses no classes."""
    recipe, classes = _fitted(recipe, data.classes, data.source)
    if recipe.objective.is_simultaneous:
        # One forward pass has one precision, and the generator needs fp32.
        recipe = replace(recipe, hardware=replace(recipe.hardware, precision="fp32"))
    if classes:
        return recipe, data
    unlabelled = np.full(len(data.train), UNLABELLED)
    train = replace(data.train, labels=unlabelled)
    return recipe, replace(data, train=train, test=None, classes=())


def require_same_images(preparation: Preparation, fingerprint: str) -> None:
    """Check that this rank, which may be on another machine, has read the same images as rank 0."""
    data = preparation.data
    if data.fingerprint != fingerprint:
        raise UserError(
            f"{data.source}: expected the images of rank 0 (fingerprint {fingerprint[:12]}) on every"
            f" rank, got others on rank {rank()} ({data.fingerprint[:12]})"
        )
