"""What scores start from: sets of images, saved statistics, earlier scores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from convergan.data.image_stream import ImageStream, open_image_stream, stream_of_array
from convergan.errors import UserError
from convergan.inference.run_images import images_of_run
from convergan.metrics.metric import GaussianStatistics
from convergan.metrics.reference_statistics import is_statistics, read_statistics
from convergan.paths import StrPath, as_path
from convergan.recipes.score_settings import ScoreSettings
from convergan.report.scores import Earlier, read_scores
from convergan.runs.folder import RunFolder

Given = StrPath | np.ndarray | Tensor
"""Images as they are given: where they are, or an array of them."""


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

    images: ImageStream
    versus: ImageStream | Earlier | None = None
    reference: ImageStream | SavedReference | None = None
    training: ImageStream | None = None

    @property
    def streams(self) -> dict[str, ImageStream]:
        """Those that are images, by the names above."""
        return {name: value for name, value in vars(self).items() if isinstance(value, ImageStream)}


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
    )
    for name, expected in (
        ("pixel_range", "floats"),
        ("split", "parquet files that name their splits"),
    ):
        streams = inputs.streams.values()
        if getattr(settings, name) and not any(getattr(stream, name) for stream in streams):
            places = ", ".join(stream.place for stream in streams)
            raise UserError(f"{name}: expected {expected} to apply it to, got none in {places}")
    return inputs


def read_reference(path: Path) -> SavedReference | None:
    """The statistics in a file; None where it is something else."""
    if not is_statistics(path):
        return None
    statistics, network = read_statistics(path)
    return SavedReference(str(path), statistics, network)


def _open(given: Given, name: str, settings: ScoreSettings) -> ImageStream:
    """Images that are there, or, of a run, that its generator draws."""
    if isinstance(given, np.ndarray | Tensor):
        array: Any = given.numpy(force=True) if isinstance(given, Tensor) else given
        return stream_of_array(name, array, settings.pixel_range)
    path = as_path(given, name)
    if RunFolder(path).recipe.exists():
        drawn = images_of_run(path, settings.count, settings.seed)
        return replace(drawn, seed=settings.seed)
    return open_image_stream(path, split=settings.split, pixel_range=settings.pixel_range)


def _open_versus(given: Given, settings: ScoreSettings) -> ImageStream | Earlier:
    if not isinstance(given, np.ndarray | Tensor):
        path = as_path(given, "versus")
        if path.suffix == ".json":
            return read_scores(path)
    return _open(given, "versus", settings)


def _open_reference(given: Given, settings: ScoreSettings) -> ImageStream | SavedReference:
    if not isinstance(given, np.ndarray | Tensor):
        saved = read_reference(as_path(given, "reference"))
        if saved is not None:
            return saved
    return _open(given, "reference", settings)
