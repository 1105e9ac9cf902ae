"""The players of a recipe, which are built and initialized alike on every rank."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, epoch_order
from convergan.data.training_data import TrainingData
from convergan.distributed import ranks
from convergan.errors import UserError
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.over_ranks import take_whole_batches
from convergan.networks.pixels import to_network
from convergan.recipes.networks import ConvSettings, PretrainedSettings
from convergan.recipes.settings import Recipe
from convergan.techniques.weight_norm import initialize_from_data
from convergan.training.batch import GENERATED, batch_sizes
from convergan.training.objective import Loss
from convergan.training.player import Player
from convergan.training.randomness import RandomStream

CLASSIFIERS = ("discriminator", "baseline")
"""The players that classify images. The baseline is the discriminator, trained only on labelled images."""

INITIALIZATION_IMAGES = 500
"""Number of images for the data-dependent initialization, as in the authors' code."""


def build_players(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    images: DeviceImages,
    losses: Mapping[str, Loss],
    streams: Mapping[str, RandomStream],
) -> dict[str, Player]:
    """The players by name: `generator` only if it has a loss, `baseline` only if the recipe has one and there
    are classes.

    Args:
        device: device of the networks and the images.
        recipe: all settings.
        data: division of the images into labelled and unlabelled ones.
        images: the training images.
        losses: loss of each player.
        streams: random numbers of the `game`, for discriminator and generator, and of the `baseline`.

    Raises:
        UserError: the networks cannot take such images, or cannot be initialized from them.
    """
    if isinstance(recipe.networks, PretrainedSettings):
        raise UserError(
            "networks.kind: expected networks that are trained step by step, got pretrained, whose last "
            "layer is fitted at once, as the arm frozen"
        )
    _, height, width, channels = data.images.shape
    shape = (channels, height, width)
    outputs = len(data.classes) if recipe.objective.is_supervised else 1

    def player(name: str, network: Discriminator | Generator) -> Player:
        settings, is_generator = recipe.optimizer, name == "generator"
        # By now it is initialized, from whole batches that every rank has.
        if ranks() > 1:
            take_whole_batches(network)
        return Player(
            device,
            network,
            settings,
            recipe.hardware,
            with_ema=not is_generator or settings.generator_averaging_rate < 1,
            averaging_rate=settings.generator_averaging_rate if is_generator else None,
            with_history=losses[name].has_history,
            rate=settings.generator_rate if is_generator else 1.0,
        )

    def discriminator() -> Discriminator:
        network = build_discriminator(recipe.networks, shape, outputs).to(device)
        network.group_size = recipe.batch_size
        return network

    players = {}
    with streams["game"]():
        classifier = discriminator()
        generator = None
        if "generator" in losses:
            generator = build_generator(recipe.networks, shape).to(device)
        labelled = _is_initialized_from_labelled(recipe) and len(data.labelled) > 0
        initial_images = data.labelled if labelled else data.unlabelled
        _initialize_discriminator(classifier, recipe, images, initial_images)
        players["discriminator"] = player("discriminator", classifier)
        if generator is not None:
            _initialize_generator(generator, recipe)
            players["generator"] = player("generator", generator)
    if recipe.baseline and recipe.objective.is_supervised:
        with streams["baseline"]():
            baseline = discriminator()
            _initialize_discriminator(baseline, recipe, images, data.labelled)
            players["baseline"] = player("baseline", baseline)
    return players


def _initialize_discriminator(
    network: Discriminator, recipe: Recipe, images: DeviceImages, indices: np.ndarray
) -> None:
    """Set the gains and biases of a discriminator from a batch of its data, if the recipe says so.

    Raises:
        UserError: they cannot be set from these images, for example because all are equal.
    """
    if not recipe.networks.data_dependent_initialization:
        return
    count = min(INITIALIZATION_IMAGES, len(indices))
    group_size = network.group_size
    if _is_initialized_from_labelled(recipe):
        # All images form one group.
        network.group_size = None
    if count > 1 and network.groups_of(count)[-1] == 1:
        # An image that is alone in its group has no distances.
        count -= 1
    order = epoch_order(
        indices, steps=1, batch_size=count, seed=recipe.seed, epoch=0, stream="initialization"
    )
    with torch.no_grad():
        try:
            _run_initialization(network, to_network(images.gather(order[0]), network.pixel_range))
        except ValueError as error:
            raise UserError(
                "networks.data-dependent-initialization: expected images that the discriminator can be "
                f"initialized from, got {count} for which it reports: {error}"
            ) from None
        finally:
            network.group_size = group_size


def _initialize_generator(network: Generator, recipe: Recipe) -> None:
    """Set the gains and biases of a generator from its own noise, if the recipe says so and the network
    allows it.
    """
    if recipe.networks.data_dependent_initialization and network.data_dependent_initialization:
        device = next(network.parameters()).device
        count = INITIALIZATION_IMAGES
        if _is_initialized_from_labelled(recipe):
            count = batch_sizes(recipe)[GENERATED]
        _run_initialization(network, network.latent(count, device))


def _is_initialized_from_labelled(recipe: Recipe) -> bool:
    """True if layers are initialized from labelled images, as in the authors' code for CIFAR-10 and SVHN."""
    networks = recipe.networks
    return isinstance(networks, ConvSettings) and networks.initialization_images == "labelled"


def _run_initialization(network: Discriminator | Generator, inputs: Tensor) -> None:
    """Run `initialize_from_data`, or only a forward pass if no layer is initialized from data.

    The pass sets the first running statistics of batch normalization, and keeps later random numbers the
    same.
    """
    if any(hasattr(layer, "initialize_from_data") for layer in network.modules()):
        initialize_from_data(network, inputs)
    else:
        with torch.no_grad():
            network(inputs)
