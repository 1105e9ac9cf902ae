"""What is wrong with a call of `score`, as far as it is known before the network looks at an image."""

from collections.abc import Mapping

from convergan.data.image_stream import ImageStream
from convergan.errors import UserError
from convergan.inference.content import statistics_sha256
from convergan.inference.embedding import Embedding
from convergan.inference.score_inputs import SavedReference, ScoreInputs
from convergan.inference.score_protocol import METRICS, OF_STATISTICS, fingerprint, network_name
from convergan.metrics.fingerprint import require_same
from convergan.metrics.inception_score import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import COVERAGE_NEIGHBOURS, OverlapMetric
from convergan.metrics.metric import Metric
from convergan.recipes.score_settings import MetricName, ScoreSettings
from convergan.report.scores import Earlier


def require_sets(
    inputs: ScoreInputs, settings: ScoreSettings, metrics: Mapping[MetricName, Metric]
) -> None:
    """Checks that the metrics have the images that they need.

    Raises:
        UserError: a reference is missing, of the wrong kind or without use, or there are too few images.
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
        if isinstance(inputs.reference, SavedReference) and name not in OF_STATISTICS:
            raise UserError(f"{title}: expected --reference with images, got statistics alone")
        for role, stream in inputs.streams.items():
            if role in ("images", "versus") or (role == "reference" and metric.needs_reference):
                _require_enough(title, metric, stream)
        if isinstance(inputs.versus, ImageStream) and not settings.skip_unreadable:
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
    """Checks that saved statistics and earlier scores are of the same network, and of the same protocol.

    Raises:
        UserError: they are not, or the earlier scores are of other metrics.
    """
    reference = inputs.reference
    if isinstance(reference, SavedReference):
        own = network_name(embedding)
        if reference.network not in (None, own):
            raise UserError(
                f"{reference.place}: expected statistics of {own}, got those of {reference.network}"
            )
        require_features(reference, getattr(embedding.network, "num_features", None))
    if not isinstance(inputs.versus, Earlier):
        return
    if not any(inputs.versus.fingerprint(name) for name in metrics):
        expected = ", ".join(METRICS[name][0] for name in metrics)
        raise UserError(
            f"versus: expected {expected} in {inputs.versus.place}, got"
            f" {', '.join(inputs.versus.numbers) or 'nothing'}"
        )

    def certain(stream: ImageStream) -> int | None:
        return None if settings.skip_unreadable else len(stream)

    of_reference: dict[str, object] = {}
    if isinstance(reference, SavedReference):
        of_reference = facts_of_statistics(reference)
    elif reference is not None:
        of_reference = {"reference_sha256": None, "reference_count": certain(reference)}
    for name, metric in metrics.items():
        earlier = inputs.versus.fingerprint(name)
        if earlier is None:
            continue
        ours = fingerprint(embedding, name, metric, certain(inputs.images), of_reference)
        unknown = {field for field, value in ours.items() if value is None}
        known = (
            {field: value for field, value in one.items() if field not in unknown}
            for one in (ours, earlier)
        )
        require_same(METRICS[name][0], *known)


def require_features(reference: SavedReference, features: int | None) -> None:
    """Checks statistics for being of as many features as the network has; None: that is not known yet.

    Raises:
        UserError: they are not.
    """
    got = len(reference.statistics.mean)
    if features not in (None, got):
        raise UserError(
            f"{reference.place}: expected statistics of {features} features, as the network has, got {got}"
        )


def facts_of_statistics(reference: SavedReference) -> dict[str, object]:
    """For the fingerprint."""
    return {
        "reference_sha256": statistics_sha256(reference.statistics),
        "reference_count": reference.statistics.count,
    }


def _require_enough(title: str, metric: Metric, images: ImageStream) -> None:
    if isinstance(metric, KernelMetric) and metric.subsets and len(images) < metric.subset_size:
        raise UserError(
            f"kid-subset-size: expected at most {len(images)}, the number of images in {images.place},"
            f" got {metric.subset_size}"
        )
    fewest, why = 2, ""
    if isinstance(metric, InceptionScoreMetric):
        fewest, why = metric.splits, ", one a split"
    elif isinstance(metric, OverlapMetric):
        fewest = COVERAGE_NEIGHBOURS + 1
    if len(images) < fewest:
        raise UserError(
            f"{title}: expected at least {fewest} images{why}, got {len(images)} in {images.place}"
        )
