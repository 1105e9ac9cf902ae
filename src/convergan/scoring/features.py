"""Features of images as files: what a network saw, so that it need not look again.

A file of ours is a .npz with `features` [images, features], `logits` [images, classes], and what they depend
on: the network's part of the fingerprint as JSON, and the checksum of the pixels. Features of any other tool
are an array [images, features], or a .npz with `features` and, for the Inception score, `logits`.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convergan.errors import UserError, one_line, reading
from convergan.metrics.metric import Embedded
from convergan.outputs import binary_output


@dataclass(frozen=True)
class SavedFeatures:
    """Images of which only features and logits are left."""

    place: str
    images: Embedded
    fingerprint: dict[str, Any]
    """Of the network, as `Embedding` has it."""
    sha256: str
    """Of the images' pixels, or of features that are not of ours."""
    seed: int | None = None
    split: str | None = None
    pixel_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.images)


def write_features(path: Path, images: Embedded, fingerprint: dict[str, Any], sha256: str) -> None:
    """Writes a .npz, whole or not at all; or to a pipe."""
    with binary_output(path) as file:
        np.savez(
            file,
            features=images.features.numpy(),
            logits=images.logits.numpy(),
            fingerprint=np.array(json.dumps(fingerprint)),
            sha256=np.array(sha256),
        )


def is_features(path: Path) -> bool:
    """Whether a file is a .npz with features and what they depend on, as `write_features` writes it."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return {"features.npy", "fingerprint.npy"} <= set(content.namelist())


def read_features(path: Path) -> SavedFeatures:
    """Reads a file of ours or of another tool; see the head of this file.

    Raises:
        UserError: the file is neither; nothing in it is executed.
    """
    fingerprint: dict[str, Any] | None = None
    sha256 = ""
    with reading(path, "features as .npy or .npz"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as listed:
                # Notices a damaged list of members: one that is not asked for by name would go unnoticed.
                for member in listed.infolist():
                    listed.open(member).close()
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            members = {"features": content}
        else:
            with content:
                names = content.files
                if "features" not in names:
                    raise UserError(
                        f"{path}: expected an array named features, got"
                        f" {one_line(', '.join(names) or 'none')}"
                    )
                members = {name: content[name] for name in ("features", "logits") if name in names}
                if "fingerprint" in names:
                    fingerprint = json.loads(str(content["fingerprint"]))
                    sha256 = str(content["sha256"])
    if fingerprint is not None and not isinstance(fingerprint, dict):
        raise UserError(f"{path}: expected a fingerprint with names, got another")
    return _checked(str(path), members, fingerprint, sha256)


def features_of_array(place: str, features: np.ndarray) -> SavedFeatures:
    """Features that are given as an array [images, features].

    Raises:
        UserError: they are none.
    """
    return _checked(place, {"features": features}, None, "")


def _checked(
    place: str, members: dict[str, np.ndarray], fingerprint: dict[str, Any] | None, sha256: str
) -> SavedFeatures:
    features = members["features"]
    logits = members.get("logits", np.empty((len(features) if features.ndim else 0, 0), np.float32))
    for name, array in (("features", features), ("logits", logits)):
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) != len(features):
            raise UserError(
                f"{place}: expected {name} [images, {name}] of floats, got {array.dtype}"
                f" {list(array.shape)}"
            )
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(bad):
            raise UserError(f"{place}: expected finite {name}, got others in row {bad[0]}")
    if not len(features):
        raise UserError(f"{place}: expected features of images, got none")
    if not sha256:
        digest = hashlib.sha256(str(features.shape).encode())
        digest.update(np.ascontiguousarray(features).data)
        sha256 = digest.hexdigest()
    return SavedFeatures(
        place,
        Embedded(
            *(
                torch.from_numpy(array.astype(_kept(array), copy=False))
                for array in (features, logits)
            )
        ),
        fingerprint
        or {
            "network": "features that were given",
            "weights_sha256": None,
            "resize": None,
            "pixels": None,
            "precision": None,
            "num_features": features.shape[1],
        },
        sha256,
    )


def _kept(array: np.ndarray) -> type:
    return np.float64 if array.dtype.itemsize > 4 else np.float32
