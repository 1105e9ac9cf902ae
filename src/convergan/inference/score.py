"""Scores of images: embedded once, measured by every metric, with intervals and fingerprints."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from convergan.data.image_stream import ImageStream, open_image_stream
from convergan.errors import UserError
from convergan.inference.embedding import (
    Embedding,
    Embeddings,
    Precision,
    Progress,
    embed,
    inception_embedding,
    run_embedding,
)
from convergan.inference.run_images import images_of_run
from convergan.metrics.estimates import (
    Comparison,
    Embedded,
    Estimate,
    FrechetMetric,
    InceptionScoreMetric,
    KernelMetric,
    Metric,
    OverlapMetric,
    Reference,
    compare,
    estimate,
)
from convergan.metrics.fingerprint import require_same
from convergan.metrics.memorization import Neighbours, nearest_training_images
from convergan.metrics.reference_statistics import is_statistics, read_statistics
from convergan.recipes.score_settings import MetricName, ScoreSettings
from convergan.runs.folder import RunFolder

METRICS: dict[MetricName, type[Metric]] = {
    "is": InceptionScoreMetric,
    "fid": FrechetMetric,
    "kid": KernelMetric,
    "pr": OverlapMetric,
}
"""A new metric is one file, one class in `estimates.py` and one line here."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What came out."""

    images: Embeddings
    estimates: list[tuple[MetricName, Estimate]]
    comparisons: list[tuple[MetricName, Comparison]]
    fingerprints: dict[MetricName, dict[str, Any]]
    memorization: Neighbours | None


def score(
    images: ImageStream,
    embedding: Embedding,
    settings: ScoreSettings | None = None,
    *,
    versus: ImageStream | None = None,
    reference: ImageStream | Path | None = None,
    training: ImageStream | None = None,
    progress: Progress | None = None,
) -> Scored:
    """Scores images, and says how certain that is.

    Args:
        images: generated ones, say.
        embedding: the network that looks at them.
        settings: of the metrics.
        versus: other images, to compare with; as many.
        reference: real images, or the file of their statistics, for all but the Inception score.
        training: images that may have been copied.
        progress: called with the number of images embedded and of all, for each set of images anew.

    Raises:
        UserError: an image cannot be read, there are too few, or a metric lacks what it needs.
    """
    settings = settings or ScoreSettings()
    statistics = read_statistics(reference) if isinstance(reference, Path) else None
    names = settings.metrics or _possible(reference)
    metrics = {name: metric_of(name, settings) for name in names}
    for name, metric in metrics.items():
        if metric.needs_reference and reference is None:
            raise UserError(f"metrics: expected --reference with {name}, got none")

    def embedded(stream: ImageStream) -> Embeddings:
        return embed(embedding, stream, skip_unreadable=settings.skip_unreadable, progress=progress)

    ours = embedded(images)
    theirs = None if versus is None else embedded(versus)
    given: Reference = None
    of_reference: dict[str, Any] = {}
    if statistics is not None:
        given, network = statistics
        own = network_name(embedding)
        if network is not None and network != own:
            raise UserError(f"{reference}: expected statistics of {own}, got those of {network}")
        if given.mean.shape[0] != ours.images.features.shape[1]:
            raise UserError(
                f"{reference}: expected statistics of {ours.images.features.shape[1]} features, as the"
                f" network has, got {given.mean.shape[0]}"
            )
        of_reference = {"reference": str(reference), "reference_count": given.count}
    elif isinstance(reference, ImageStream):
        given = embedded(reference).images
        of_reference = {"reference": reference.place, "reference_count": len(given)}
    fingerprints = {
        name: _fingerprint(embedding, name, metric, ours.images, of_reference)
        for name, metric in metrics.items()
    }
    estimates: list[tuple[MetricName, Estimate]] = []
    comparisons: list[tuple[MetricName, Comparison]] = []
    for name, metric in metrics.items():
        if theirs is None:
            found = estimate(metric, ours.images, given, seed=settings.seed)
            estimates += [(name, one) for one in found]
            continue
        other = _fingerprint(embedding, name, metric, theirs.images, of_reference)
        require_same(name, fingerprints[name], other)
        compared = compare(metric, ours.images, theirs.images, given, seed=settings.seed)
        comparisons += [(name, one) for one in compared]
        estimates += [(name, one.first) for one in compared]
    neighbours = None
    if training is not None:
        of_training = embedded(training)
        nearest = nearest_training_images(ours.images.features, of_training.images.features)
        places = torch.from_numpy(of_training.places)[nearest.places]
        neighbours = replace(nearest, places=places)
    return Scored(
        images=ours,
        estimates=estimates,
        comparisons=comparisons,
        fingerprints=fingerprints,
        memorization=neighbours,
    )


def metric_of(name: MetricName, settings: ScoreSettings) -> Metric:
    """The metric of a name, as the settings have it."""
    own: dict[MetricName, dict[str, Any]] = {
        "is": {
            "protocol": settings.protocol,
            "splits": settings.splits,
            "split_seed": settings.split_seed,
        },
        "kid": {"subsets": settings.kid_subsets, "subset_size": settings.kid_subset_size},
    }
    options = own.get(name, {})
    if settings.replicates is not None:
        options["replicates"] = settings.replicates
    return METRICS[name](**options)


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


def open_images(path: Path, settings: ScoreSettings) -> ImageStream:
    """Images that are there, or, of a run, that its generator draws."""
    if RunFolder(path).recipe.exists():
        return images_of_run(path, settings.count, settings.seed)
    return open_image_stream(path, split=settings.split, pixel_range=settings.pixel_range)


def open_reference(path: Path, settings: ScoreSettings) -> ImageStream | Path:
    """Real images, or the path of the file with their statistics."""
    return path if is_statistics(path) else open_images(path, settings)


def _possible(reference: ImageStream | Path | None) -> Sequence[MetricName]:
    if reference is None:
        return ("is",)
    return ("is", "fid") if isinstance(reference, Path) else tuple(METRICS)


def network_name(embedding: Embedding) -> str:
    """Network and checksum, for files of statistics."""
    return f"{embedding.fingerprint['network']} {embedding.fingerprint['weights_sha256']}"


def _fingerprint(
    embedding: Embedding,
    name: MetricName,
    metric: Metric,
    images: Embedded,
    reference: dict[str, Any],
) -> dict[str, Any]:
    return {
        "metric": name,
        **embedding.fingerprint,
        "count": len(images),
        **(reference if metric.needs_reference else {}),
        **metric.settings(),
    }
