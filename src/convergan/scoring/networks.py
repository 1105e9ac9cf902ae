"""Networks that compute features and logits: Inception, a run's classifier, or a module from Python."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convergan.errors import UserError, quoted
from convergan.metrics.inception import INPUT_SIZE_PX
from convergan.metrics.inception_weights import find_weights, load_inception, sha256
from convergan.networks.batches import device_of_process
from convergan.networks.classification import batch_size
from convergan.networks.ensemble import EnsembleDiscriminator
from convergan.paths import StrPath, as_path
from convergan.runs.classifier import Classifier, require_evaluation_mode
from convergan.runs.model import classifier_files, load_classifier
from convergan.runs.tensor_files import tensors_sha256
from convergan.scoring.embedding import Embedding, Precision, Progress


def open_embedding(
    *,
    classifier: StrPath | nn.Module | None,
    weights: StrPath | None,
    precision: Precision,
    progress: Progress | None = None,
) -> Embedding:
    """Open the classifier of a run, or a module; without a classifier the Inception network.

    Raises:
        UserError: both weights and a classifier are given, one of them does not exist, or a module is in
            training mode.
    """
    if classifier is None:
        path = None if weights is None else as_path(weights, "weights")
        return inception_embedding(path, precision=precision, progress=progress)
    if weights is not None:
        raise UserError(
            f"weights: expected None with --classifier, which has weights of its own, got {quoted(weights)}"
        )
    if isinstance(classifier, nn.Module):
        return module_embedding(classifier, precision=precision)
    return run_embedding(as_path(classifier, "classifier"), precision=precision)


def features_embedding(fingerprint: dict[str, Any]) -> Embedding:
    """A placeholder for the network where all sets are saved features."""
    return Embedding(
        nn.Identity(), channels=None, size=None, classes=(), fingerprint=dict(fingerprint)
    )


def inception_embedding(
    weights: Path | None = None,
    *,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> Embedding:
    """Open the Inception network of 2015 with its public weights; see `load_inception`."""
    path = find_weights(weights, progress=progress)
    return Embedding(
        load_inception(path),
        channels=3,
        size=None,
        classes=(),
        fingerprint=_fingerprint(
            "inception-2015-12-05",
            sha256(path),
            f"bilinear of TensorFlow 1, to {INPUT_SIZE_PX} px",
            precision,
        ),
        precision=precision,
    )


def run_embedding(run: Path, *, precision: Precision = "fp32") -> Embedding:
    """Open the classifier of a run.

    A classifier of digits says more about images of digits than one of ImageNet's classes.

    Raises:
        UserError: `run` is not a finished run, or has no classes.
    """
    classifier = load_classifier(run)
    checksums = [sha256(file) for file in classifier_files(run)]
    # An ensemble has the hash of its members' hashes.
    checksum = checksums[0]
    if len(checksums) > 1:
        checksum = hashlib.sha256("".join(checksums).encode()).hexdigest()
    return _classifier_embedding(classifier, checksum, precision)


def module_embedding(module: nn.Module, *, precision: Precision = "fp32") -> Embedding:
    """Wrap a module, on its own device, as `score` takes one; its checksum is that of its tensors.

    Raises:
        UserError: the module is in training mode.
    """
    require_evaluation_mode(module, "classifier")
    checksum = tensors_sha256(
        {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    )
    first = next(module.parameters(), None)
    device = None if first is None else first.device
    if isinstance(module, Classifier):
        return _classifier_embedding(module, checksum, precision, device)
    return Embedding(
        module,
        channels=None,
        size=None,
        classes=(),
        fingerprint=_fingerprint(f"module {type(module).__name__}", checksum, "none", precision),
        precision=precision,
        device=device,
    )


def _classifier_embedding(
    classifier: Classifier, checksum: str, precision: Precision, device: torch.device | None = None
) -> Embedding:
    channels, height, width = classifier.image_shape
    size = f"{width}x{height} px"
    return Embedding(
        classifier,
        channels=channels,
        size=(height, width) if classifier.resized else None,
        classes=classifier.classes,
        fingerprint=_fingerprint(
            "classifier of an ensemble"
            if isinstance(classifier.network, EnsembleDiscriminator)
            else "classifier of a run",
            checksum,
            f"Lanczos, to {size}" if classifier.resized else f"none, {size}",
            precision,
        ),
        precision=precision,
        batch_size=batch_size((height, width), (device or device_of_process()).type),
        required_size=(height, width),
        device=device,
    )


def _fingerprint(network: str, checksum: str, resize: str, precision: Precision) -> dict[str, Any]:
    return {
        "network": network,
        "weights_sha256": checksum,
        "resize": resize,
        "pixels": "uint8, 0 to 255",
        "precision": precision,
    }
