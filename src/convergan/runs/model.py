"""The trained model of a run: its weights as safetensors, its settings as JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from convergan.errors import UserError, one_line, reading
from convergan.files import make_folder
from convergan.networks.build import NetworkSettings, build_discriminator, build_generator
from convergan.networks.interface import Discriminator, Generator
from convergan.runs.folder import RunFolder, read_json, write_json
from convergan.runs.tensor_files import load_tensors, save_tensors

NetworkT = TypeVar("NetworkT", bound=nn.Module)

_CONFIG = "config.json"
_CLASSIFIER = "classifier.safetensors"
_GENERATOR = "generator.safetensors"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is needed, beside the weights, to build the networks and feed them."""

    networks: NetworkSettings
    image_shape: tuple[Literal[1, 3], int, int]
    """Channels, height, width."""
    classes: tuple[str, ...]
    """Empty for a discriminator that only tells real from generated."""
    resized: bool
    """Whether training resized its images to `image_shape`: then so do those who predict."""


_CONFIG_TYPE: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


def save_model(
    folder: RunFolder, config: ModelConfig, classifier: Discriminator, generator: Generator
) -> None:
    """Writes model/: the classifier with its averaged weights, the generator, and the settings.

    Raises:
        UserError: a file cannot be written, such as to a disk that is full.
    """
    make_folder(folder.model)
    for name, network in ((_CLASSIFIER, classifier), (_GENERATOR, generator)):
        save_tensors(folder.model / name, network.state_dict())
    write_json(folder.model / _CONFIG, _CONFIG_TYPE.dump_python(config, mode="json"))


def load_config(run: Path) -> ModelConfig:
    """The settings of a run's model.

    Raises:
        UserError: `run` is no run folder, or its training has not finished, or the settings are damaged.
    """
    folder = RunFolder(run)
    path = folder.model / _CONFIG
    if not path.exists():
        if not folder.recipe.exists():
            raise UserError(
                f"{run}: expected a run folder, got none (no {folder.recipe.name} in it)"
            )
        raise UserError(
            f"{run}: expected a finished run, got one without model/; --resume finishes it"
        )
    values = read_json(path)
    try:
        return _CONFIG_TYPE.validate_python(values)
    except ValidationError as error:
        problem = one_line(error)
        raise UserError(f"{path}: expected the settings of a model, got {problem}") from None


def load_classifier(run: Path) -> tuple[Discriminator, ModelConfig]:
    """A run's classifier with its averaged weights, in evaluation mode, on the CPU.

    Raises:
        UserError: as `load_config`; or the weights are missing, damaged or of another network.
    """
    config = load_config(run)
    outputs = max(len(config.classes), 1)
    network = _load(
        lambda: build_discriminator(config.networks, config.image_shape, outputs),
        RunFolder(run).model,
        _CLASSIFIER,
    )
    return network.eval(), config


def load_generator(run: Path) -> tuple[Generator, ModelConfig]:
    """A run's generator, in evaluation mode, on the CPU. Raises as `load_classifier`."""
    config = load_config(run)
    network = _load(
        lambda: build_generator(config.networks, config.image_shape),
        RunFolder(run).model,
        _GENERATOR,
    )
    return network.eval(), config


def _load(build: Callable[[], NetworkT], folder: Path, name: str) -> NetworkT:
    """A network with the weights of a file."""
    path = folder / name
    with reading(folder / _CONFIG, "the settings of a model"), torch.device("meta"):
        wanted = sum(weight.numel() for weight in build().parameters())
    with reading(path, "the weights of this run's network"):
        weights, _ = load_tensors(path)
        found = sum(weight.numel() for weight in weights.values())
        # Before it is built: settings that have been damaged may ask for more than there is memory.
        if wanted > found:
            raise ValueError(f"those of another: {found:,} numbers in place of {wanted:,}")
        network = build()
        try:
            network.load_state_dict(weights)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    return network
