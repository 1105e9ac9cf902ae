"""What scores start from: sets of images, their saved features or statistics, earlier scores."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from convergan.data.image_stream import (
    FIRST_ARRAY,
    ImageStream,
    open_image_stream,
    stream_of_array,
)
from convergan.errors import UserError, reading
from convergan.metrics.metric import GaussianStatistics
from convergan.metrics.reference_statistics import is_statistics, read_statistics
from convergan.paths import StrPath, as_path
from convergan.runs.folder import RunFolder
from convergan.scoring.features import (
    SavedFeatures,
    features_of_array,
    is_features,
    read_features,
)
from convergan.scoring.run_images import images_of_run
from convergan.scoring.settings import DRAWN, ScoreSettings
from convergan.scoring.table import Earlier, read_scores

Given = StrPath | np.ndarray | Tensor
"""Images as they are given: where they are, or an array of them."""

ImageSet = ImageStream | SavedFeatures
"""Images, or what a network has said of them."""


@dataclass(frozen=True)
class SavedReference:
    """A reference of which only mean and covariance are left."""

    place: str
    statistics: GaussianStatistics
    network: str | None = None
    """The network that looked at its images; None where that is not noted."""


@dataclass(frozen=True, kw_only=True)
class ScoreInputs:
    """What is scored, and what is beside it; see `score`."""

    images: ImageSet
    versus: ImageSet | Earlier | None = None
    reference: ImageSet | SavedReference | None = None
    training: ImageSet | None = None
    statistics: SavedReference | None = None
    """Of the reference: in a file that has images as well, for FID; the images are for all else."""

    @property
    def sets(self) -> dict[str, ImageSet]:
        """Those that are images or their features, by the names above."""
        return {name: value for name, value in vars(self).items() if isinstance(value, ImageSet)}

    @property
    def streams(self) -> dict[str, ImageStream]:
        """Those that are images, by the names above."""
        return {name: one for name, one in self.sets.items() if isinstance(one, ImageStream)}


def open_inputs(
    images: Given,
    settings: ScoreSettings,
    *,
    reference: Given | None = None,
    versus: Given | None = None,
    training: Given | None = None,
) -> ScoreInputs:
    """Opens all that is given, and reads no image of a file. See `score` for the arguments.

    Raises:
        UserError: one of them is not there, or a setting fits none of them.
    """
    inputs = ScoreInputs(
        images=_open(images, "images", settings),
        versus=None if versus is None else _open_versus(versus, settings),
        reference=None if reference is None else _open_reference(reference, settings),
        training=None if training is None else _open(training, "training", settings),
        statistics=None if reference is None else _statistics_beside_images(reference, settings),
    )
    for name, expected in (
        ("pixel_range", "floats"),
        ("split", "parquet files that name their splits"),
    ):
        sets = inputs.sets.values()
        if getattr(settings, name) and not any(getattr(one, name) for one in sets):
            places = ", ".join(one.place for one in sets)
            raise UserError(f"{name}: expected {expected} to apply it to, got none in {places}")
    return inputs


def read_reference(path: Path) -> SavedReference | None:
    """The statistics in a file; None where it is something else."""
    if not is_statistics(path):
        return None
    statistics, network = read_statistics(path)
    return SavedReference(str(path), statistics, network)


def _open(given: Given, name: str, settings: ScoreSettings) -> ImageSet:
    """Images that are there, or, of a run, that its generator draws; or their features."""
    if isinstance(given, np.ndarray | Tensor):
        array: Any = given.numpy(force=True) if isinstance(given, Tensor) else given
        if settings.features:
            return features_of_array(name, array)
        return stream_of_array(name, array, settings.pixel_range)
    path = as_path(given, name)
    if RunFolder(path).recipe.exists():
        drawn = images_of_run(path, settings.count or DRAWN, settings.seed)
        return replace(drawn, seed=settings.seed)
    if is_features(path) or settings.features:
        return read_features(path)
    return open_image_stream(
        path, split=settings.split, pixel_range=settings.pixel_range, key=settings.key
    )


def _open_versus(given: Given, settings: ScoreSettings) -> ImageSet | Earlier:
    if not isinstance(given, np.ndarray | Tensor):
        path = as_path(given, "versus")
        if path.suffix == ".json":
            return read_scores(path)
    return _open(given, "versus", settings)


def _open_reference(given: Given, settings: ScoreSettings) -> ImageSet | SavedReference:
    if not isinstance(given, np.ndarray | Tensor):
        path = as_path(given, "reference")
        if not _has_images(path, settings):
            saved = read_reference(path)
            if saved is not None:
                return saved
    return _open(given, "reference", settings)


def _statistics_beside_images(given: Given, settings: ScoreSettings) -> SavedReference | None:
    """Those of a reference batch as guided-diffusion has them: mu and sigma of all images, and some
    images."""
    if isinstance(given, np.ndarray | Tensor):
        return None
    path = as_path(given, "reference")
    return read_reference(path) if _has_images(path, settings) else None


def _has_images(path: Path, settings: ScoreSettings) -> bool:
    """Whether a file of statistics holds an array of images too."""
    if not is_statistics(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return f"{settings.key or FIRST_ARRAY}.npy" in content.namelist()
