"""What `convergan score` starts from: sets of images, saved statistics, earlier scores, a network."""

from dataclasses import dataclass, replace
from pathlib import Path

from convergan.data.image_stream import ImageStream, open_image_stream
from convergan.errors import UserError
from convergan.inference.embedding import (
    Embedding,
    Precision,
    Progress,
    inception_embedding,
    run_embedding,
)
from convergan.inference.run_images import images_of_run
from convergan.metrics.metric import GaussianStatistics
from convergan.metrics.reference_statistics import is_statistics, read_statistics
from convergan.recipes.score_settings import ScoreFiles, ScoreSettings
from convergan.report.scores import Earlier, read_scores
from convergan.runs.folder import RunFolder


@dataclass(frozen=True)
class SavedReference:
    """A reference of which only mean and covariance are left."""

    place: str
    statistics: GaussianStatistics
    network: str | None = None
    """That looked at its images; None where that is not noted."""


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


def open_inputs(images: Path, files: ScoreFiles, settings: ScoreSettings) -> ScoreInputs:
    """Opens all that is named on the command line, and reads no image.

    Raises:
        UserError: one of them is not there, or a setting fits none of them.
    """
    scored = _open(images, settings)
    versus: ImageStream | Earlier | None = None
    if files.versus is not None:
        earlier = files.versus.suffix == ".json"
        versus = read_scores(files.versus) if earlier else _open(files.versus, settings)
    reference: ImageStream | SavedReference | None = None
    if files.reference is not None:
        reference = read_reference(files.reference) or _open(files.reference, settings)
    inputs = ScoreInputs(
        images=scored,
        versus=versus,
        reference=reference,
        training=None if files.training is None else _open(files.training, settings),
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


def open_embedding(
    *,
    classifier: Path | None,
    weights: Path | None,
    precision: Precision,
    progress: Progress | None = None,
) -> Embedding:
    """The classifier of a run where one is named, else the Inception network.

    Raises:
        UserError: both are named, or one that is named is not there.
    """
    if classifier is None:
        return inception_embedding(weights, precision=precision, progress=progress)
    if weights is not None:
        raise UserError("weights: expected none beside --classifier, which has its own")
    return run_embedding(classifier, precision=precision)


def _open(path: Path, settings: ScoreSettings) -> ImageStream:
    """Images that are there, or, of a run, that its generator draws."""
    if RunFolder(path).recipe.exists():
        drawn = images_of_run(path, settings.count, settings.seed)
        return replace(drawn, seed=settings.seed)
    return open_image_stream(path, split=settings.split, pixel_range=settings.pixel_range)
