"""The trained model of a run: its weights as safetensors, its settings as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from convergan.errors import UserError
from convergan.files import written_aside
from convergan.networks.build import NetworkSettings, build_discriminator, build_generator
from convergan.networks.interface import Discriminator, Generator
from convergan.runs.folder import RunFolder, write_json

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
    """Writes model/: the classifier with its averaged weights, the generator, and the settings."""
    folder.model.mkdir(parents=True, exist_ok=True)
    for name, network in ((_CLASSIFIER, classifier), (_GENERATOR, generator)):
        weights = {key: value.contiguous() for key, value in network.state_dict().items()}
        with written_aside(folder.model / name) as aside:
            save_file(weights, aside)
    write_json(folder.model / _CONFIG, _CONFIG_TYPE.dump_python(config, mode="json"))


def load_config(run: Path) -> ModelConfig:
    """The settings of a run's model.

    Raises:
        UserError: `run` is no run folder, or its training has not finished.
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
    try:
        return _CONFIG_TYPE.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, ValidationError) as error:
        raise UserError(
            f"{path}: expected the settings of a model, got {' '.join(str(error).split())}"
        ) from None


def load_classifier(run: Path) -> tuple[Discriminator, ModelConfig]:
    """A run's classifier with its averaged weights, in evaluation mode, on the CPU.

    Raises:
        UserError: as `load_config`; or the weights are missing, damaged or of another network.
    """
    config = load_config(run)
    network = build_discriminator(config.networks, config.image_shape, max(len(config.classes), 1))
    _load_weights(network, RunFolder(run).model / _CLASSIFIER)
    return network.eval(), config


def load_generator(run: Path) -> tuple[Generator, ModelConfig]:
    """A run's generator, in evaluation mode, on the CPU. Raises as `load_classifier`."""
    config = load_config(run)
    network = build_generator(config.networks, config.image_shape)
    _load_weights(network, RunFolder(run).model / _GENERATOR)
    return network.eval(), config


def _load_weights(network: nn.Module, path: Path) -> None:
    try:
        weights: dict[str, Any] = load_file(path)
        network.load_state_dict(weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())
        raise UserError(
            f"{path}: expected the weights of this run's network, got {problem}"
        ) from None
