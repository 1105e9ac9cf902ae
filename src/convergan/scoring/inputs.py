"""Inputs of scores: sets of images, their saved features or statistics, and earlier scores."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from convergan.data.image_stream import (
    FIRST_ARRAY,
    ImageStream,
    first_images,
    open_image_stream,
    stream_of_array,
)
from convergan.errors import UserError, reading
from convergan.images.sizes import Sizes
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
from convergan.scoring.settings import DEFAULT_COUNT, ScoreSettings
from convergan.scoring.table import EarlierScores, read_scores

ImageSource = StrPath | np.ndarray | Tensor
"""Path or array of images."""

ImageSet = ImageStream | SavedFeatures
"""Images, or the features and logits that a network computed from them."""


@dataclass(frozen=True)
class SavedReference:
    """Mean and covariance of a reference, without its images."""

    place: str
    statistics: GaussianStatistics
    network: str | None = None
    """Network that computed the features; None if the file does not name it."""
    sizes: Sizes | None = None
    """Sizes of the images; None if the file does not have them."""


@dataclass(frozen=True, kw_only=True)
class ScoreInputs:
    """Images to score, and the sets to compare them with; see `score`."""

    images: ImageSet
    versus: ImageSet | EarlierScores | None = None
    reference: ImageSet | SavedReference | None = None
    training: ImageSet | None = None
    statistics: SavedReference | None = None
    """Statistics from a reference file that also has images: FID uses them, all other metrics the images."""

    @property
    def sets(self) -> dict[str, ImageSet]:
        """Sets of images or of saved features, by field name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, ImageSet)}

    @property
    def streams(self) -> dict[str, ImageStream]:
        """Sets of images, by field name."""
        return {name: value for name, value in self.sets.items() if isinstance(value, ImageStream)}


def open_inputs(
    images: ImageSource,
    settings: ScoreSettings,
    *,
    reference: ImageSource | None = None,
    versus: ImageSource | None = None,
    training: ImageSource | None = None,
) -> ScoreInputs:
    """Open all inputs without reading an image from a file; see `score` for the arguments.

    Raises:
        UserError: an input does not exist, or a setting applies to none of them.
    """
    inputs = ScoreInputs(
        images=_open_scored(images, "images", settings),
        versus=None if versus is None else _open_versus(versus, settings),
        reference=None if reference is None else _open_reference(reference, settings),
        training=None if training is None else _open(training, "training", settings),
        statistics=None if reference is None else _statistics_with_images(reference, settings),
    )
    for name, expected in (
        ("pixel_range", "floats"),
        ("split", "parquet files that name their splits"),
    ):
        sets = inputs.sets.values()
        if getattr(settings, name) and not any(getattr(image_set, name) for image_set in sets):
            places = ", ".join(image_set.place for image_set in sets)
            raise UserError(f"{name}: expected {expected} to apply it to, got none in {places}")
    return inputs


def read_reference(path: Path) -> SavedReference | None:
    """Read the statistics in a file; None if it is another kind of file."""
    if not is_statistics(path):
        return None
    return SavedReference(str(path), *read_statistics(path))


def _open(source: ImageSource, name: str, settings: ScoreSettings) -> ImageSet:
    """Open images, saved features, or the images that a run's generator draws."""
    if isinstance(source, np.ndarray | Tensor):
        array: Any = source.numpy(force=True) if isinstance(source, Tensor) else source
        if settings.features:
            return features_of_array(name, array)
        return stream_of_array(name, array, settings.pixel_range)
    path = as_path(source, name)
    if RunFolder(path).recipe.exists():
        stream = images_of_run(path, settings.count or DEFAULT_COUNT, settings.seed)
        return replace(stream, seed=settings.seed)
    if is_features(path) or settings.features:
        return read_features(path)
    return open_image_stream(
        path, split=settings.split, pixel_range=settings.pixel_range, key=settings.key
    )


def _open_scored(source: ImageSource, name: str, settings: ScoreSettings) -> ImageSet:
    """Open images to score: the first `settings.count` of those in files, as many as a run draws."""
    image_set, count = _open(source, name, settings), settings.count
    # Those of a run have a seed, and the count already.
    if count is None or image_set.seed is not None:
        return image_set
    if count > len(image_set):
        raise UserError(
            f"count: expected at most {len(image_set)}, the number of images in {image_set.place}, got"
            f" {count}"
        )
    if count == len(image_set):
        return image_set
    if isinstance(image_set, SavedFeatures):
        return image_set.first(count)
    return first_images(image_set, count)


def _open_versus(source: ImageSource, settings: ScoreSettings) -> ImageSet | EarlierScores:
    if not isinstance(source, np.ndarray | Tensor):
        path = as_path(source, "versus")
        if path.suffix == ".json":
            return read_scores(path)
    return _open_scored(source, "versus", settings)


def _open_reference(source: ImageSource, settings: ScoreSettings) -> ImageSet | SavedReference:
    if not isinstance(source, np.ndarray | Tensor):
        path = as_path(source, "reference")
        if not _has_images(path, settings):
            saved = read_reference(path)
            if saved is not None:
                return saved
    return _open(source, "reference", settings)


def _statistics_with_images(source: ImageSource, settings: ScoreSettings) -> SavedReference | None:
    """Read the statistics of a reference batch of guided-diffusion, which has some of the images too."""
    if isinstance(source, np.ndarray | Tensor):
        return None
    path = as_path(source, "reference")
    return read_reference(path) if _has_images(path, settings) else None


def _has_images(path: Path, settings: ScoreSettings) -> bool:
    """Test whether a file of statistics also has an array of images."""
    if not is_statistics(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return f"{settings.key or FIRST_ARRAY}.npy" in content.namelist()
