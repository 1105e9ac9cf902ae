"""The trained model of a run: its weights as safetensors, its settings as JSON."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import TypeAdapter
from torch import nn

from convergan.errors import UserError, reading
from convergan.files import make_folder, write_text
from convergan.images.regular_files import kind_of
from convergan.json_files import json_text, read_json_as
from convergan.networks.build import build_discriminator, build_generator, without_memory
from convergan.networks.ensemble import EnsembleDiscriminator
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.minibatch_similarity import ComparingDiscriminator
from convergan.networks.module import Factory, require_module
from convergan.paths import StrPath, as_path
from convergan.recipes.networks import ModuleSettings, NetworkSettings
from convergan.runs.classifier import Classifier
from convergan.runs.folder import RunFolder
from convergan.runs.tensor_files import load_tensors, save_tensors

NetworkT = TypeVar("NetworkT", bound=nn.Module)

_CONFIG = "config.json"
_CLASSIFIER = "classifier.safetensors"
_GENERATOR = "generator.safetensors"

_ORIGIN = "origin"
_CONFIG_SHA256 = "config_sha256"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Settings needed, beside the weights, to build the networks and prepare their input."""

    networks: NetworkSettings
    image_shape: tuple[Literal[1, 3], int, int]
    """Channels, height and width of the images."""
    classes: tuple[str, ...]
    """Names of the classes; empty for a discriminator that only tells real from generated images."""
    resized: bool
    """True if training resized its images to `image_shape`: predictions then do so, too."""
    has_generator: bool = True
    """True if a generator was trained beside the classifier."""
    members: tuple[int, ...] = ()
    """Seeds of the members of an ensemble, whose folders hold the weights. Empty for a single model."""


_CONFIG_TYPE: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


def save_model(
    folder: RunFolder,
    config: ModelConfig,
    classifier: Discriminator,
    generator: Generator | None,
    origin: Mapping[str, str] | None = None,
) -> None:
    """Write model/: the classifier with its EMA weights, the generator if any, and the settings.

    Args:
        folder: folder of the run.
        config: settings; their SHA-256 is stored with the weights.
        classifier, generator: the networks; None for a run that trained no generator.
        origin: hashes of what they were trained with, by kind, as in checkpoints: "recipe" and "data set".

    Raises:
        UserError: a file cannot be written, such as to a full disk.
    """
    make_folder(folder.model)
    settings = _config_text(config)
    metadata = {
        _ORIGIN: json.dumps(dict(origin or {}), sort_keys=True),
        _CONFIG_SHA256: _sha256(settings),
    }
    networks: dict[str, nn.Module] = {_CLASSIFIER: classifier}
    if generator is not None:
        networks[_GENERATOR] = generator
    for name, network in networks.items():
        save_tensors(folder.model / name, network.state_dict(), metadata)
    write_text(folder.model / _CONFIG, settings)


def save_ensemble(folder: RunFolder, config: ModelConfig) -> None:
    """Write the model/ of an ensemble: only the settings, which name the members that have the weights.

    Raises:
        UserError: it cannot be written.
    """
    make_folder(folder.model)
    write_text(folder.model / _CONFIG, _config_text(config))


def _config_text(config: ModelConfig) -> str:
    excluded = {"networks": {"factory"}} | ({} if config.members else {"members": True})
    return json_text(_CONFIG_TYPE.dump_python(config, mode="json", exclude=excluded))


def classifier_files(run: StrPath) -> tuple[Path, ...]:
    """The files with the weights of a run's classifier; for an ensemble, those of its members.

    Raises:
        UserError: as in `load_config`.
    """
    folder = RunFolder(as_path(run, "run"))
    members = load_config(folder.path).members
    folders = [folder.member(seed) for seed in members] or [folder]
    return tuple(part.model / _CLASSIFIER for part in folders)


def load_config(run: StrPath) -> ModelConfig:
    """Load the settings of a run's model.

    Raises:
        UserError: `run` is no run folder, or its training has not finished, or the settings are damaged.
    """
    folder = RunFolder(as_path(run, "run"))
    path = folder.model / _CONFIG
    if not path.exists():
        if not folder.recipe.exists():
            if folder.path.is_dir():
                content = f"a folder without {folder.recipe.name}"
            else:
                content = kind_of(folder.path)
            raise UserError(f"{run}: expected a run folder, got {content}")
        raise UserError(
            f"{run}: expected a finished run, got one without model/; --resume finishes it"
        )
    return read_json_as(path, _CONFIG_TYPE, "the settings of a model")


def load_classifier(run: StrPath, network: Factory | None = None) -> Classifier:
    """Load a run's classifier with its EMA weights, in evaluation mode, on the CPU; for an ensemble, the mean
    of its members' class probabilities.

    Args:
        run: the folder of a finished run with classes, or of a finished ensemble.
        network: class or function that makes your own network, as passed to `train`, for a run with one.

    Returns:
        A module that takes uint8 images [batch, channels, height, width] and knows its classes and their
        size: see `Classifier`. `predict` and `score` take it in place of the folder.

    Raises:
        UserError: `run` is no run folder, its training has not finished, or it was trained without labels;
            the weights are missing, damaged, of another network or of another run, or the settings are not
            those that they were saved with. Properties that a file lacks, as those of convergan 0.1.0 do, are
            taken to match.

    Example:
        >>> from convergan import load_classifier
        >>> classifier = load_classifier("runs/mine")
        >>> len(classifier.classes) > 1
        True
    """
    config = load_config(run)
    if not config.classes:
        raise UserError(f"{run}: expected a run with classes, got one trained without labels")
    if config.members:
        return _ensemble(RunFolder(Path(run)), config, network)
    networks = config.networks
    if isinstance(networks, ModuleSettings):
        if network is None:
            raise UserError(
                f"{run}: expected your own network, {networks.module}, with which it was trained; pass"
                " load_classifier(run, network=...) instead of the run"
            )
        networks = replace(networks, factory=network)
        # It may be an argument of the wrong type.
        require_module(networks, config.image_shape, len(config.classes))
    elif network is not None:
        raise UserError(
            f"network: expected none for a run of networks.kind {networks.kind}, got one"
        )
    discriminator = _load(
        lambda: build_discriminator(networks, config.image_shape, len(config.classes)),
        RunFolder(Path(run)),
        _CLASSIFIER,
    )
    if discriminator.channels_last:
        # As in training.
        discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(discriminator, ComparingDiscriminator):
        discriminator.eval().freeze_references()
    classifier = Classifier(
        discriminator,
        classes=config.classes,
        image_shape=config.image_shape,
        resized=config.resized,
    )
    return classifier.eval()


def _ensemble(folder: RunFolder, config: ModelConfig, network: Factory | None) -> Classifier:
    """The classifiers of all members as one."""
    members = [load_classifier(folder.member(seed).path, network) for seed in config.members]
    for seed, member in zip(config.members, members, strict=True):
        if (member.classes, member.image_shape) != (config.classes, config.image_shape):
            raise UserError(
                f"{folder.member(seed).path}: expected a member of this ensemble, got a run with other"
                " classes or images of another size"
            )
    classifier = Classifier(
        EnsembleDiscriminator([member.network for member in members]),
        classes=config.classes,
        image_shape=config.image_shape,
        resized=config.resized,
    )
    return classifier.eval()


def load_generator(run: StrPath) -> Generator:
    """Load a run's generator, in evaluation mode, on the CPU.

    Args:
        run: the folder of a finished run.

    Returns:
        A module that makes images [batch, channels, height, width], floats in its `pixel_range`, from the
        noise of its `latent(count, device)`. If its `sample_batch` is not None, as in `mnist-paper` and
        `cifar10`, so many images at a time are normalized by their common statistics, as the authors draw
        them: an image depends on the others of its batch.

    Raises:
        UserError: as in `load_classifier`, except that a run without labels has a generator, too; or the run
            trained no generator.

    Example:
        >>> from convergan import load_generator
        >>> generator = load_generator("runs/mine")
        >>> images = generator(generator.latent(5, "cpu"))
        >>> len(images)
        5
    """
    config = load_config(run)
    if config.members:
        member = RunFolder(Path(run)).member(config.members[0]).path
        raise UserError(
            f"{run}: expected a run with a generator of its own, got an ensemble; {member} is one of its"
            f" {len(config.members)} members"
        )
    if not config.has_generator:
        raise UserError(
            f"{run}: expected a run with a generator, got one whose losses use no generated images; "
            "train with --arms composed gan, which saves one if it is clearly better, or with "
            "--objective.real-or-generated.weight 0.5 --objective.feature-matching.weight 1, "
            "which always saves one"
        )
    network = _load(
        lambda: build_generator(config.networks, config.image_shape),
        RunFolder(Path(run)),
        _GENERATOR,
    )
    return network.eval()


def _load(build: Callable[[], NetworkT], folder: RunFolder, name: str) -> NetworkT:
    """Build a network and load its weights from a file."""
    path = folder.model / name
    with reading(path, "the weights of this run's network"):
        weights, metadata = load_tensors(path)
        origin = dict(json.loads(metadata.get(_ORIGIN, "{}")))
    _require_settings(folder.model / _CONFIG, metadata, name)
    _require_origin(path, origin, folder)
    with (
        reading(folder.model / _CONFIG, "the settings of a model"),
        without_memory(),
    ):
        expected = sum(weight.numel() for weight in build().parameters())
    with reading(path, "the weights of this run's network"):
        saved = sum(weight.numel() for weight in weights.values())
        # Before it is built: settings that have been damaged may ask for more than there is memory.
        if expected > saved:
            raise ValueError(f"those of another: {saved:,} numbers instead of {expected:,}")
        network = build()
        try:
            network.load_state_dict(weights)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    return network


def _require_settings(path: Path, metadata: Mapping[str, str], name: str) -> None:
    """Check that the settings are those that the weights of a file were saved with."""
    with reading(path, "the settings of a model"):
        text = path.read_text(encoding="utf-8")
    if metadata.get(_CONFIG_SHA256) not in (None, _sha256(text)):
        raise UserError(f"{path}: expected the settings saved with {name}, got changed ones")


def _require_origin(path: Path, origin: Mapping[str, str], folder: RunFolder) -> None:
    """Check that weights belong to the run of the manifest beside them, if there is one."""
    try:
        manifest = folder.read_manifest()
    except UserError:
        # A missing or damaged manifest says nothing against the weights.
        return
    run_origin = {"recipe": manifest.recipe_sha256, "data set": manifest.data.fingerprint}
    for kind, expected in run_origin.items():
        if None not in (expected, saved := origin.get(kind)) and saved != expected:
            raise UserError(f"{path}: expected weights of this run, got those of another {kind}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
