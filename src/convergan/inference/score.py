"""Scores of images: embedded once, measured by every metric, with intervals and fingerprints."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from convergan.data.image_stream import ImageStream
from convergan.inference.content import with_sha256
from convergan.inference.embedding import Embedding, Embeddings, Progress, embed
from convergan.inference.open_embedding import open_embedding
from convergan.inference.score_checks import (
    facts_of_statistics,
    require_features,
    require_network,
    require_sets,
)
from convergan.inference.score_inputs import Given, SavedReference, ScoreInputs, open_inputs
from convergan.inference.score_protocol import METRICS, chosen_metrics, fingerprint
from convergan.inference.scores import Scores, Seen
from convergan.metrics.fingerprint import require_same
from convergan.metrics.frechet import FEWEST_IMAGES
from convergan.metrics.memorization import Neighbours, nearest_training_images
from convergan.metrics.metric import (
    Comparison,
    Estimate,
    Metric,
    Reference,
    compare,
    compare_estimates,
    estimate,
)
from convergan.paths import StrPath
from convergan.progress_bar import progress_bar
from convergan.recipes.score_settings import MetricName, ScoreSettings
from convergan.report.scores import Earlier

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Begins a step of the work, given its title and what is counted: images, say. What it yields is called with
how many of these are done, and of how many."""


def score(
    images: Given,
    *,
    metrics: Sequence[MetricName] = (),
    reference: Given | None = None,
    versus: Given | None = None,
    training: Given | None = None,
    classifier: StrPath | nn.Module | None = None,
    weights: StrPath | None = None,
    settings: ScoreSettings | None = None,
    progress: bool = False,
) -> Scores:
    """Inception score, FID, KID, precision, recall, density and coverage of images, with intervals.

    These are the numbers of `convergan score`. Sets of images are given as paths (a folder of images, parquet
    files, a .npy or .npz, or a run, whose generator then draws `settings.count` images) or as arrays: [n,
    height, width], [n, height, width, channels] or [n, channels, height, width], 1 or 3 channels, uint8 or,
    with `settings.pixel_range`, floats.

    Args:
        images: what is scored: 10 or more for the Inception score.
        metrics: of "is", "fid", "kid", "pr"; none: those of the settings, else all that the reference allows.
        reference: real images, for all but the Inception score; or a .npz with their mean and covariance, for
            FID.
        versus: other images, as many, to compare with; or the .json of an earlier `convergan score`.
        training: the images that a generator was trained on: whether it copies them.
        classifier: what looks at the images: the folder of a run; or a module in evaluation mode, on its own
            device, which is given uint8 [batch, channels, height, width] and returns something with
            `features` [batch, features] and `logits` [batch, classes], as that of `load_classifier` does.
            None: the Inception network of 2015.
        weights: the Inception network's weights. None: from the cache, or downloaded into it.
        settings: all else, such as the number of bootstrap replicates and the seed.
        progress: show progress bars on the standard error.

    Returns:
        The numbers, by name; see `Scores`.

    Raises:
        UserError: something is missing, cannot be read, or does not fit; whatever is known of this beforehand
            is raised before the network looks at an image.

    Example:
        >>> from convergan import ScoreSettings, sample, score
        >>> images = sample("runs/mine", 100)
        >>> settings = ScoreSettings(replicates=50)
        >>> scores = score(images, classifier="runs/mine", settings=settings)
        >>> inception_score = scores.numbers["Inception score"]
        >>> inception_score.interval.low < inception_score.value
        True
    """
    settings = settings or ScoreSettings()
    if metrics:
        settings = replace(settings, metrics=tuple(metrics))
    inputs = open_inputs(images, settings, reference=reference, versus=versus, training=training)
    return score_inputs(
        inputs, settings, classifier=classifier, weights=weights, quiet=not progress
    )


def score_inputs(
    inputs: ScoreInputs,
    settings: ScoreSettings,
    *,
    classifier: StrPath | nn.Module | None,
    weights: StrPath | None,
    quiet: bool,
) -> Scores:
    """Opens the network and scores what has been opened; arguments and errors are those of `score`."""
    # Before the network, which may have to be downloaded.
    require_sets(inputs, settings, chosen_metrics(settings, inputs.reference))
    with progress_bar("the network's weights", unit="bytes", quiet=quiet) as progress:
        embedding = open_embedding(
            classifier=classifier,
            weights=weights,
            precision=settings.precision,
            progress=progress,
        )
    return measure(
        inputs,
        embedding,
        settings,
        stage=lambda title, unit: progress_bar(title, unit=unit, quiet=quiet),
    )


def measure(
    inputs: ScoreInputs,
    embedding: Embedding,
    settings: ScoreSettings,
    stage: Stage | None = None,
) -> Scores:
    """Scores images with an opened network, and says how certain that is.

    Args:
        inputs: the images, and what is beside them.
        embedding: the network that looks at them.
        settings: of the metrics.
        stage: told of every step; see `Stage`.

    Raises:
        UserError: an image cannot be read, there are too few, a metric lacks what it needs, or what is to be
            compared is not comparable. Whatever is known of this beforehand is raised at once.
    """
    metrics = chosen_metrics(settings, inputs.reference)
    require_sets(inputs, settings, metrics)
    require_network(inputs, embedding, settings, metrics)
    look = _Look(embedding, settings, stage or (lambda *_: nullcontext(lambda *_: None)))
    ours = look("images", inputs.images)
    if isinstance(inputs.reference, SavedReference):
        require_features(inputs.reference, ours.images.features.shape[1])
    theirs = look("versus", inputs.versus) if isinstance(inputs.versus, ImageStream) else None
    reference, facts = _seen_reference(inputs.reference, look)
    fingerprints = {
        name: fingerprint(embedding, name, metric, len(ours.images), facts)
        for name, metric in metrics.items()
    }
    if "fid" in metrics:
        _warn_of_reference(facts["reference_count"])
    numbers: dict[str, Estimate] = {}
    comparisons: dict[str, Comparison] = {}
    metric_of: dict[str, MetricName] = {}
    for name, metric in metrics.items():
        title, own = METRICS[name][0], fingerprints[name]
        if theirs is not None:
            require_same(title, own, {**own, "count": len(theirs.images)})
        # Parts of the work: images, blocks of a kernel, replicates.
        with look.stage(f"{title} and its interval", "") as progress:
            found, compared = _measured(
                metric, ours, theirs, reference, seed=settings.seed, progress=progress
            )
        numbers |= {one.name: one for one in found}
        comparisons |= {one.name: one for one in compared}
        metric_of |= {one.name: name for one in found}
    if isinstance(inputs.versus, Earlier):
        comparisons = _compared_with_earlier(inputs.versus, numbers, metric_of, fingerprints)
    return Scores(
        inputs=inputs,
        settings=settings,
        embedding=embedding,
        images=ours,
        metric_of=metric_of,
        numbers=numbers,
        comparisons=comparisons,
        fingerprints=fingerprints,
        memorization=None if inputs.training is None else _nearest(inputs.training, ours, look),
        sets=look.sets,
    )


class _Look:
    """Sets of images, each looked at once by the network; `sets` says what became of them."""

    def __init__(self, embedding: Embedding, settings: ScoreSettings, stage: Stage) -> None:
        self.embedding, self.settings, self.stage = embedding, settings, stage
        self.sets: dict[str, Seen] = {}

    def __call__(self, name: str, stream: ImageStream) -> Embeddings:
        with self.stage(f"looking at {name}", "images") as progress:
            found = embed(
                self.embedding,
                stream,
                skip_unreadable=self.settings.skip_unreadable,
                progress=progress,
            )
        self.sets[name] = Seen(len(found.images), found.skipped)
        return found


def _seen_reference(
    given: ImageStream | SavedReference | None, look: _Look
) -> tuple[Reference, dict[str, Any]]:
    """The reference as metrics take it, and what the fingerprints say of it."""
    if given is None:
        return None, {}
    if isinstance(given, SavedReference):
        return given.statistics, facts_of_statistics(given)
    stream, sha256 = with_sha256(given)
    seen = look("reference", stream).images
    return seen, {"reference_sha256": sha256(), "reference_count": len(seen)}


def _measured(
    metric: Metric,
    ours: Embeddings,
    theirs: Embeddings | None,
    reference: Reference,
    *,
    seed: int,
    progress: Progress,
) -> tuple[list[Estimate], list[Comparison]]:
    """A metric's numbers, and where there are other images, how they compare."""
    if theirs is None:
        return estimate(metric, ours.images, reference, seed=seed, progress=progress), []
    compared = compare(metric, ours.images, theirs.images, reference, seed=seed, progress=progress)
    return [one.first for one in compared], compared


def _compared_with_earlier(
    earlier: Earlier,
    numbers: dict[str, Estimate],
    metric_of: dict[str, MetricName],
    fingerprints: dict[MetricName, dict[str, Any]],
) -> dict[str, Comparison]:
    """Those numbers that the earlier call has too."""
    comparisons = {}
    for name in numbers:
        if name not in earlier.numbers:
            continue
        metric, (other, other_fingerprint) = metric_of[name], earlier.numbers[name]
        require_same(METRICS[metric][0], fingerprints[metric], other_fingerprint)
        comparisons[name] = compare_estimates(numbers[name], other)
    return comparisons


def _nearest(training: ImageStream, ours: Embeddings, look: _Look) -> Neighbours:
    """The nearest training images; their places are those among all, unreadable ones included."""
    of_training = look("training", training)
    with look.stage("nearest training images", "images"):
        nearest = nearest_training_images(ours.images.features, of_training.images.features)
    return replace(nearest, places=torch.from_numpy(of_training.places)[nearest.places])


def _warn_of_reference(count: int | None) -> None:
    if count is not None and count < FEWEST_IMAGES:
        warnings.warn(
            f"FID beside a reference of {count:,} images, fewer than {FEWEST_IMAGES:,}, is far too high;"
            " KID is not biased so",
            # Whoever calls `score`.
            stacklevel=5,
        )
