"""Which metrics are computed, how, and what their numbers depend on."""

from typing import Any

from convergan.data.image_stream import ImageStream
from convergan.inference.embedding import Embedding
from convergan.inference.score_inputs import SavedReference
from convergan.metrics.fingerprint import versions
from convergan.metrics.frechet import FrechetMetric
from convergan.metrics.inception_score import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import Metric
from convergan.recipes.score_settings import MetricName, ScoreSettings

METRICS: dict[MetricName, tuple[str, type[Metric]]] = {
    "is": ("Inception score", InceptionScoreMetric),
    "fid": ("FID", FrechetMetric),
    "kid": ("KID", KernelMetric),
    "pr": ("precision and recall", OverlapMetric),
}
"""For people, and as what computes them. A new metric is one file with a class, and a line here."""

OF_STATISTICS: tuple[MetricName, ...] = ("is", "fid")
"""Those for which a mean and a covariance of the reference are enough."""


def chosen_metrics(
    settings: ScoreSettings, reference: ImageStream | SavedReference | None
) -> dict[MetricName, Metric]:
    """Those that are asked for, else all that the reference allows."""
    possible: tuple[MetricName, ...] = tuple(METRICS)
    if reference is None:
        possible = ("is",)
    elif isinstance(reference, SavedReference):
        possible = OF_STATISTICS
    return {name: _metric(name, settings) for name in settings.metrics or possible}


def fingerprint(
    embedding: Embedding,
    name: MetricName,
    metric: Metric,
    count: int | None,
    reference: dict[str, Any],
) -> dict[str, Any]:
    """What a metric's numbers depend on.

    Args:
        embedding: the network.
        name: the metric's.
        metric: its settings.
        count: of images.
        reference: `reference_sha256` and `reference_count`, where there is one.
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
    """Network and checksum, for files of statistics."""
    parts = (embedding.fingerprint.get(name) for name in ("network", "weights_sha256"))
    return " ".join(part for part in parts if part)


def _metric(name: MetricName, settings: ScoreSettings) -> Metric:
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
    return METRICS[name][1](**options)


def _effective_settings(metric: Metric) -> dict[str, Any]:
    """A metric's settings without those that others leave without effect."""
    settings = metric.settings()
    idle: tuple[str, ...] = ()
    if settings.get("protocol") == "paper":
        idle = ("split_seed",)
    if settings.get("subsets") == 0:
        idle = ("subset_size", "subset_seed")
    return {name: value for name, value in settings.items() if name not in idle}
