"""Files of features and logits, which later calls accept in place of the images.

`write_features` writes a .npz with `features` [images, features], `logits` [images, classes], `fingerprint`
(the network's part of the fingerprint, as JSON), `sha256` (the checksum of the pixels) and `sizes` (height
and width of the smallest and the largest image). Features of other tools are an array [images, features], or
a .npz with `features` and, for the Inception score, `logits`.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convergan.errors import UserError, one_line, reading
from convergan.images.sizes import Sizes, sizes_as_array, sizes_of_array
from convergan.metrics.metric import Embedded
from convergan.outputs import binary_output


@dataclass(frozen=True)
class SavedFeatures:
    """Features and logits that were saved or given in place of images."""

    place: str
    images: Embedded
    fingerprint: dict[str, Any]
    """Fingerprint of the network, as in `Embedding`."""
    sha256: str
    """SHA-256 of the images' pixels, or, for features of other tools, of the features."""
    sizes: Sizes | None = None
    """Sizes of the images; None: not known."""
    seed: int | None = None
    split: str | None = None
    pixel_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "SavedFeatures":
        """The features of the first images alone; the checksum is that of these features."""
        images = Embedded(self.images.features[:count], self.images.logits[:count])
        # Of images of several sizes, it is not known which the first ones have.
        sizes = self.sizes if self.sizes is not None and self.sizes.uniform else None
        return replace(self, images=images, sha256=_sha256_of(images.features.numpy()), sizes=sizes)


def write_features(
    path: Path,
    images: Embedded,
    fingerprint: dict[str, Any],
    sha256: str,
    sizes: Sizes | None = None,
) -> None:
    """Write features and logits as a .npz: whole or not at all, or to a pipe."""
    with binary_output(path) as file:
        np.savez(
            file,
            features=images.features.numpy(),
            logits=images.logits.numpy(),
            fingerprint=np.array(json.dumps(fingerprint)),
            sha256=np.array(sha256),
            sizes=sizes_as_array(sizes),
        )


def is_features(path: Path) -> bool:
    """Test whether a file is a .npz as `write_features` writes it."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return {"features.npy", "fingerprint.npy"} <= set(content.namelist())


def read_features(path: Path) -> SavedFeatures:
    """Read features that `write_features` or another tool wrote; nothing in the file is executed.

    Raises:
        UserError: the file contains no features.
    """
    fingerprint: dict[str, Any] | None = None
    sizes: Sizes | None = None
    sha256 = ""
    with reading(path, "features as .npy or .npz"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # Opening every member finds damage also in those that are not read below.
                for member in archive.infolist():
                    archive.open(member).close()
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
                    # Files of earlier versions have no sizes.
                    if "sizes" in names:
                        sizes = sizes_of_array(str(path), content["sizes"])
    if fingerprint is not None and not isinstance(fingerprint, dict):
        raise UserError(f"{path}: expected a JSON object as the fingerprint, got another value")
    return replace(_checked(str(path), members, fingerprint, sha256), sizes=sizes)


def features_of_array(place: str, features: np.ndarray) -> SavedFeatures:
    """Wrap an array [images, features].

    Raises:
        UserError: the array has another shape, no floats, no rows, or values that are not finite.
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
            raise UserError(f"{place}: expected finite {name}, got NaN or infinity in row {bad[0]}")
    if not len(features):
        raise UserError(f"{place}: expected features of images, got none")
    return SavedFeatures(
        place,
        Embedded(
            *(
                torch.from_numpy(array.astype(_float_dtype(array), copy=False))
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
        sha256 or _sha256_of(features),
    )


def _sha256_of(features: np.ndarray) -> str:
    digest = hashlib.sha256(str(features.shape).encode())
    digest.update(np.ascontiguousarray(features).data)
    return digest.hexdigest()


def _float_dtype(array: np.ndarray) -> type:
    return np.float64 if array.dtype.itemsize > 4 else np.float32
