"""Scores of images: embedded once, measured by every metric, with intervals and fingerprints."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from convergan.data.image_stream import ImageStream
from convergan.images.read_images import SkippedImage
from convergan.inference.content import with_sha256
from convergan.inference.embedding import Embedding, Embeddings, Progress, embed
from convergan.inference.score_checks import (
    facts_of_statistics,
    require_features,
    require_network,
    require_sets,
)
from convergan.inference.score_inputs import SavedReference, ScoreInputs
from convergan.inference.score_protocol import METRICS, chosen_metrics, fingerprint
from convergan.metrics.fingerprint import require_same
from convergan.metrics.frechet import FEWEST_IMAGES
from convergan.metrics.memorization import Neighbours, nearest_training_images
from convergan.metrics.metric import (
    Comparison,
    Estimate,
    Reference,
    compare,
    compare_estimates,
    estimate,
)
from convergan.recipes.score_settings import MetricName, ScoreSettings
from convergan.report.scores import Earlier

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Begins a step of the work, given its title and what is counted: images, say. What it yields is called with
how many of these are done, and of how many."""


@dataclass(frozen=True)
class Seen:
    """What became of a set of images."""

    count: int
    """Those that the network looked at."""
    skipped: list[SkippedImage]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What came out."""

    images: Embeddings
    sets: dict[str, Seen]
    """images, versus, reference, training: those that were looked at."""
    estimates: list[tuple[MetricName, Estimate]]
    comparisons: list[tuple[MetricName, Comparison]]
    """Of an earlier call there may be fewer than estimates."""
    fingerprints: dict[MetricName, dict[str, Any]]
    memorization: Neighbours | None


def score(
    images: ImageStream,
    embedding: Embedding,
    settings: ScoreSettings | None = None,
    *,
    versus: ImageStream | Earlier | None = None,
    reference: ImageStream | SavedReference | None = None,
    training: ImageStream | None = None,
    stage: Stage | None = None,
) -> Scored:
    """Scores images, and says how certain that is.

    Args:
        images: generated ones, say.
        embedding: the network that looks at them.
        settings: of the metrics.
        versus: other images, to compare with, as many; or the scores of an earlier call.
        reference: real images, or their statistics, for all but the Inception score.
        training: images that may have been copied.
        stage: told of every step; see `Stage`.

    Raises:
        UserError: an image cannot be read, there are too few, a metric lacks what it needs, or what is to be
            compared is not comparable. Whatever is known of this beforehand is raised at once.
    """
    settings = settings or ScoreSettings()
    stage = stage or (lambda *_: nullcontext(lambda *_: None))
    inputs = ScoreInputs(images=images, versus=versus, reference=reference, training=training)
    metrics = chosen_metrics(settings, reference)
    require_sets(inputs, settings, metrics)
    require_network(inputs, embedding, settings, metrics)
    sets: dict[str, Seen] = {}

    def embedded(name: str, stream: ImageStream) -> Embeddings:
        with stage(f"looking at {name}", "images") as progress:
            found = embed(
                embedding, stream, skip_unreadable=settings.skip_unreadable, progress=progress
            )
        sets[name] = Seen(len(found.images), found.skipped)
        return found

    ours = embedded("images", images)
    given: Reference = None
    of_reference: dict[str, Any] = {}
    if isinstance(reference, SavedReference):
        require_features(reference, ours.images.features.shape[1])
        given, of_reference = reference.statistics, facts_of_statistics(reference)
    theirs = embedded("versus", versus) if isinstance(versus, ImageStream) else None
    if isinstance(reference, ImageStream):
        stream, sha256 = with_sha256(reference)
        given = embedded("reference", stream).images
        of_reference = {"reference_sha256": sha256(), "reference_count": len(given)}

    fingerprints = {
        name: fingerprint(embedding, name, metric, len(ours.images), of_reference)
        for name, metric in metrics.items()
    }
    if "fid" in metrics:
        _warn_of_reference(of_reference["reference_count"])
    estimates: list[tuple[MetricName, Estimate]] = []
    comparisons: list[tuple[MetricName, Comparison]] = []
    for name, metric in metrics.items():
        title, own = METRICS[name][0], fingerprints[name]
        if theirs is not None:
            require_same(title, own, {**own, "count": len(theirs.images)})
        # Parts of the work: images, blocks of a kernel, replicates.
        with stage(f"{title} and its interval", "") as progress:
            if theirs is None:
                found = estimate(metric, ours.images, given, seed=settings.seed, progress=progress)
            else:
                compared = compare(
                    metric, ours.images, theirs.images, given, seed=settings.seed, progress=progress
                )
                comparisons += [(name, one) for one in compared]
                found = [one.first for one in compared]
        estimates += [(name, one) for one in found]
    if isinstance(versus, Earlier):
        for name, one in estimates:
            if one.name in versus.numbers:
                other, other_fingerprint = versus.numbers[one.name]
                require_same(METRICS[name][0], fingerprints[name], other_fingerprint)
                comparisons.append((name, compare_estimates(one, other)))
    neighbours = None
    if training is not None:
        of_training = embedded("training", training)
        with stage("nearest training images", "images"):
            nearest = nearest_training_images(ours.images.features, of_training.images.features)
        places = torch.from_numpy(of_training.places)[nearest.places]
        neighbours = replace(nearest, places=places)
    return Scored(
        images=ours,
        sets=sets,
        estimates=estimates,
        comparisons=comparisons,
        fingerprints=fingerprints,
        memorization=neighbours,
    )


def _warn_of_reference(count: int | None) -> None:
    if count is not None and count < FEWEST_IMAGES:
        warnings.warn(
            f"FID beside a reference of {count:,} images, fewer than {FEWEST_IMAGES:,}, is far too high;"
            " KID is not biased so",
            stacklevel=3,
        )
