"""Choice of the metrics, fingerprints of their numbers, and checks made before the network sees an image."""

from collections.abc import Mapping
from typing import Any

from convergan.data.image_stream import ImageStream
from convergan.errors import UserError
from convergan.metrics.fingerprint import require_same, versions
from convergan.metrics.frechet_metric import FrechetMetric
from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import (
    COVERAGE_NEIGHBOURS,
    PRECISION_NEIGHBOURS,
    OverlapMetric,
)
from convergan.metrics.metric import GaussianStatistics, Metric
from convergan.scoring.embedding import Embedding, arrays_sha256
from convergan.scoring.features import SavedFeatures
from convergan.scoring.inputs import ImageSet, SavedReference, ScoreInputs
from convergan.scoring.settings import MetricName, ScoreSettings
from convergan.scoring.table import EarlierScores

METRICS: dict[MetricName, tuple[str, type[Metric]]] = {
    "is": ("Inception score", InceptionScoreMetric),
    "fid": ("FID", FrechetMetric),
    "kid": ("KID", KernelMetric),
    "pr": ("precision and recall", OverlapMetric),
}
"""Metrics by name: the title and the class. A new metric is one file with a class, and a line here."""

STATISTICS_METRICS: tuple[MetricName, ...] = ("is", "fid")
"""Metrics that can be computed with only the mean and covariance of the reference."""


def chosen_metrics(settings: ScoreSettings, inputs: ScoreInputs) -> dict[MetricName, Metric]:
    """Metrics that the settings name; if none, all that the inputs allow.

    Without a reference that is the Inception score alone, which in turn needs logits.
    """
    possible: tuple[MetricName, ...] = tuple(METRICS)
    if inputs.reference is None:
        possible = ("is",)
    elif isinstance(inputs.reference, SavedReference):
        possible = STATISTICS_METRICS
    if (
        any(_lacks_logits(image_set) for image_set in (inputs.images, inputs.versus))
        and len(possible) > 1
    ):
        possible = tuple(name for name in possible if name != "is")
    return {name: _metric(name, settings) for name in settings.metrics or possible}


def _lacks_logits(image_set: object) -> bool:
    return isinstance(image_set, SavedFeatures) and not image_set.images.logits.shape[1]


def fingerprint(
    embedding: Embedding,
    name: MetricName,
    metric: Metric,
    count: int | None,
    reference: dict[str, Any],
) -> dict[str, Any]:
    """Fingerprint of a metric's numbers: everything that they depend on besides the images.

    Args:
        embedding: the network.
        name: the metric's name.
        metric: the metric with its settings.
        count: number of images.
        reference: `reference_sha256` and `reference_count`, or empty.
    """
    return {
        "metric": name,
        **embedding.fingerprint,
        "versions": versions(),
        "count": count,
        **(reference if metric.needs_reference else {}),
        **_effective_settings(metric),
    }


def network_name(embedding: Embedding) -> str:
    """Network and checksum of its weights in one line, for files of statistics."""
    parts = (embedding.fingerprint.get(name) for name in ("network", "weights_sha256"))
    return " ".join(part for part in parts if part)


def _metric(name: MetricName, settings: ScoreSettings) -> Metric:
    """Metric of a name, with its settings."""
    own: dict[MetricName, dict[str, Any]] = {
        "is": {
            "protocol": settings.protocol,
            "splits": settings.splits,
            "split_seed": settings.split_seed,
        },
        "kid": {"subsets": settings.kid_subsets, "subset_size": settings.kid_subset_size},
    }
    return METRICS[name][1](intervals=settings.intervals, **own.get(name, {}))


def _effective_settings(metric: Metric) -> dict[str, Any]:
    """Settings of a metric that have an effect, given the others."""
    settings = metric.settings()
    if isinstance(metric, OverlapMetric):
        settings["k_precision_recall"] = PRECISION_NEIGHBOURS
        settings["k_density_coverage"] = COVERAGE_NEIGHBOURS
    idle: tuple[str, ...] = ()
    if settings.get("protocol") == "paper":
        idle = ("split_seed",)
    if settings.get("subsets") == 0:
        idle = ("subset_size", "subset_seed")
    return {name: value for name, value in settings.items() if name not in idle}


def statistics_sha256(statistics: GaussianStatistics) -> str:
    """SHA-256 of a mean and a covariance."""
    return arrays_sha256(statistics.mean.numpy(), statistics.covariance.numpy()).hexdigest()


def require_sets(
    inputs: ScoreInputs, settings: ScoreSettings, metrics: Mapping[MetricName, Metric]
) -> None:
    """Check that the metrics have the images that they need.

    Raises:
        UserError: a reference is missing, of the wrong kind or not used, or there are too few images.
    """
    needing = [name for name, metric in metrics.items() if metric.needs_reference]
    if inputs.reference is None and needing:
        raise UserError(f"metrics: expected --reference with {needing[0]}, got none")
    if inputs.reference is not None and not needing:
        raise UserError(
            f"reference: expected metrics that need it, got --metrics {' '.join(metrics)} alone"
        )
    for name, metric in metrics.items():
        title = METRICS[name][0]
        if isinstance(inputs.reference, SavedReference) and name not in STATISTICS_METRICS:
            raise UserError(f"{title}: expected --reference with images, got statistics alone")
        for role, stream in inputs.sets.items():
            if name == "is" and role in ("images", "versus") and _lacks_logits(stream):
                raise UserError(f"{title}: expected logits in {stream.place}, got features alone")
            if role in ("images", "versus") or (role == "reference" and metric.needs_reference):
                _require_enough(title, metric, stream)
        if isinstance(inputs.versus, ImageSet) and not settings.skip_unreadable:
            counts = ({"count": len(stream)} for stream in (inputs.images, inputs.versus))
            require_same(title, *counts)
    if inputs.training is not None and len(inputs.training) < 2:
        raise UserError("training: expected at least 2 images, got 1")


def require_network(
    inputs: ScoreInputs,
    embedding: Embedding,
    settings: ScoreSettings,
    metrics: Mapping[MetricName, Metric],
) -> None:
    """Check that saved statistics and earlier scores come from the same network and protocol.

    Raises:
        UserError: they do not, or the earlier scores have none of the metrics.
    """
    reference = inputs.reference
    for saved in (reference, inputs.statistics):
        if not isinstance(saved, SavedReference):
            continue
        own = network_name(embedding)
        if saved.network not in (None, own):
            raise UserError(
                f"{saved.place}: expected statistics of {own}, got those of {saved.network}"
            )
        if saved is reference:
            require_features(saved, getattr(embedding.network, "num_features", None))
    for image_set in inputs.sets.values():
        if isinstance(image_set, SavedFeatures):
            require_same(image_set.place, embedding.fingerprint, image_set.fingerprint)
    if not isinstance(inputs.versus, EarlierScores):
        return
    if not any(inputs.versus.fingerprint(name) for name in metrics):
        expected = ", ".join(METRICS[name][0] for name in metrics)
        raise UserError(
            f"versus: expected {expected} in {inputs.versus.place}, got"
            f" {', '.join(inputs.versus.numbers) or 'nothing'}"
        )

    def known_count(image_set: ImageSet) -> int | None:
        unknown = settings.skip_unreadable and isinstance(image_set, ImageStream)
        return None if unknown else len(image_set)

    reference_facts: dict[str, object] = {}
    if isinstance(reference, SavedReference):
        reference_facts = facts_of_statistics(reference)
    elif isinstance(reference, SavedFeatures):
        reference_facts = facts_of_features(reference)
    elif reference is not None:
        reference_facts = {"reference_sha256": None, "reference_count": known_count(reference)}
    for name, metric in metrics.items():
        earlier = inputs.versus.fingerprint(name)
        if earlier is None:
            continue
        current = fingerprint(embedding, name, metric, known_count(inputs.images), reference_facts)
        unknown = {field for field, value in current.items() if value is None}
        fingerprints = (
            {field: value for field, value in entries.items() if field not in unknown}
            for entries in (current, earlier)
        )
        require_same(METRICS[name][0], *fingerprints)


def require_features(reference: SavedReference, features: int | None) -> None:
    """Check that statistics have as many features as the network.

    Args:
        reference: the statistics.
        features: number of features of the network; None: not known yet, no check.

    Raises:
        UserError: the numbers differ.
    """
    count = len(reference.statistics.mean)
    if features not in (None, count):
        raise UserError(
            f"{reference.place}: expected statistics of {features} features, as the network has, got {count}"
        )


def facts_of_statistics(reference: SavedReference) -> dict[str, object]:
    """Entries of a reference of statistics in the fingerprint."""
    return {
        "reference_sha256": statistics_sha256(reference.statistics),
        "reference_count": reference.statistics.count,
    }


def facts_of_features(reference: SavedFeatures) -> dict[str, object]:
    """Entries of a reference of saved features in the fingerprint."""
    return {"reference_sha256": reference.sha256, "reference_count": len(reference)}


def _require_enough(title: str, metric: Metric, images: ImageSet) -> None:
    if isinstance(metric, KernelMetric) and metric.subsets and len(images) < metric.subset_size:
        raise UserError(
            f"kid-subset-size: expected at most {len(images)}, the number of images in {images.place},"
            f" got {metric.subset_size}"
        )
    fewest, reason = 2, ""
    if isinstance(metric, InceptionScoreMetric):
        fewest, reason = metric.splits, ", one for each split"
    elif isinstance(metric, OverlapMetric):
        fewest = COVERAGE_NEIGHBOURS + 1
    if len(images) < fewest:
        raise UserError(
            f"{title}: expected at least {fewest} images{reason}, got {len(images)} in {images.place}"
        )
