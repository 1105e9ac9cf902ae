"""Scores of images: one pass through the network, then every metric, with intervals and fingerprints."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from convergan.images.sizes import Sizes
from convergan.metrics.fingerprint import require_same
from convergan.metrics.inception_score_metric import IN_ORDER, InceptionScoreMetric
from convergan.metrics.memorization import Neighbours, nearest_training_images
from convergan.metrics.metric import (
    Comparison,
    Embedded,
    Estimate,
    Metric,
    Outcome,
    Reference,
    compare_estimates,
    corrected,
    outcome,
)
from convergan.metrics.pairs import PairMetric, measure_pairs
from convergan.paths import StrPath
from convergan.progress_bar import progress_bar
from convergan.scoring.embedding import Embedding, Embeddings, Progress, embed
from convergan.scoring.features import SavedFeatures
from convergan.scoring.inputs import ImageSet, ImageSource, SavedReference, ScoreInputs, open_inputs
from convergan.scoring.networks import features_embedding, open_embedding
from convergan.scoring.note import Note
from convergan.scoring.notes import (
    note_of_order,
    note_of_sizes,
    notes_of_earlier,
    notes_of_fid,
    notes_of_inception_score,
    notes_of_inputs,
)
from convergan.scoring.protocol import (
    METRICS,
    chosen_metrics,
    facts_of_statistics,
    fingerprint,
    require_features,
    require_network,
    require_sets,
)
from convergan.scoring.scores import Scores, SetCounts
from convergan.scoring.settings import MetricName, ScoreSettings
from convergan.scoring.table import EarlierScores

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Context of one step of the work, given its title and unit, such as images. The function that it yields is
called with the number of units done and the total."""


def score(
    images: ImageSource,
    *,
    metrics: Sequence[MetricName] = (),
    reference: ImageSource | None = None,
    versus: ImageSource | None = None,
    training: ImageSource | None = None,
    classifier: StrPath | nn.Module | None = None,
    weights: StrPath | None = None,
    settings: ScoreSettings | None = None,
    progress: bool = False,
) -> Scores:
    """Inception score, FID, KID, precision, recall, density and coverage of images, with intervals.

    The command `convergan score` computes the same numbers. A set of images is a path (a folder of images,
    parquet files, a .npy or .npz, saved features, or a run, whose generator draws `settings.count` images) or
    an array: [n, height, width], [n, height, width, channels] or [n, channels, height, width], with 1 or 3
    channels, uint8 or, with `settings.pixel_range`, floats. Of `images` and `versus` that are not a run, only
    the first `settings.count` are used.

    Args:
        images: the images to score; the Inception score needs 10 or more.
        metrics: "is", "fid", "kid" or "pr", any number of them. None of them: the metrics of the settings, or
            all that the reference allows.
        reference: real images, which all metrics but the Inception score need; or, for FID, a .npz with the
            mean and covariance of their features.
        versus: the same number of other images to compare with, or the .json of an earlier `convergan score`.
        training: the images that the generator was trained on, to test whether it copies them.
        classifier: the network that computes features and logits: the folder of a run; or a module in
            evaluation mode, on its own device, that takes uint8 [batch, channels, height, width] and returns
            an object with `features` [batch, features] and `logits` [batch, classes], as the module that
            `load_classifier` returns does. None: the Inception network of 2015.
        weights: file with the weights of the Inception network. None: from the cache, or downloaded into it.
        settings: all other settings, such as the protocol of the Inception score and the seed.
        progress: show progress bars on the standard error.

    Returns:
        The numbers by name; see `Scores`. Its `notes` say how far they can be trusted; each is also issued as
        a Python warning.

    Raises:
        UserError: something is missing, cannot be read, or does not fit. Everything that can be checked
            beforehand is checked before the network sees an image.

    Example:
        >>> from convergan import ScoreSettings, sample, score
        >>> images = sample("runs/mine", 100)
        >>> settings = ScoreSettings(splits=2)
        >>> scores = score(images, classifier="runs/mine", settings=settings)
        >>> inception_score = scores.numbers["Inception score"]
        >>> inception_score.interval.low <= inception_score.value
        True
    """
    settings = settings or ScoreSettings()
    if metrics:
        settings = replace(settings, metrics=tuple(metrics))
    inputs = open_inputs(images, settings, reference=reference, versus=versus, training=training)
    scores = score_inputs(
        inputs, settings, classifier=classifier, weights=weights, quiet=not progress
    )
    for note in scores.notes:
        warnings.warn(note.message, stacklevel=2)
    return scores


def score_inputs(
    inputs: ScoreInputs,
    settings: ScoreSettings,
    *,
    classifier: StrPath | nn.Module | None,
    weights: StrPath | None,
    quiet: bool,
) -> Scores:
    """Open the network and score inputs that are open already; see `score` for arguments and errors."""
    # First, as the network may have to be downloaded.
    require_sets(inputs, settings, chosen_metrics(settings, inputs))
    unnamed = classifier is None and weights is None
    if unnamed and not inputs.streams and isinstance(inputs.images, SavedFeatures):
        embedding = features_embedding(inputs.images.fingerprint)
        return measure(inputs, embedding, settings, _stage(quiet))
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
        stage=_stage(quiet),
    )


def _stage(quiet: bool) -> Stage:
    return lambda title, unit: progress_bar(title, unit=unit, quiet=quiet)


def measure(
    inputs: ScoreInputs,
    embedding: Embedding,
    settings: ScoreSettings,
    stage: Stage | None = None,
) -> Scores:
    """Score images with an opened network.

    Args:
        inputs: the images, and the sets to compare them with.
        embedding: the network.
        settings: the settings of the metrics.
        stage: the context of every step, such as a progress bar; see `Stage`.

    Raises:
        UserError: an image cannot be read, there are too few images, a metric lacks an input, or numbers are
            not comparable. Everything that can be checked beforehand is checked first.
    """
    metrics = chosen_metrics(settings, inputs)
    require_sets(inputs, settings, metrics)
    require_network(inputs, embedding, settings, metrics)
    embedder = _Embedder(embedding, settings, stage or (lambda *_: nullcontext(lambda *_: None)))
    embeddings = embedder("images", inputs.images)
    if isinstance(inputs.reference, SavedReference):
        require_features(inputs.reference, embeddings.images.features.shape[1])
    sets = [embeddings.images]
    if isinstance(inputs.versus, ImageSet):
        sets.append(embedder("versus", inputs.versus).images)
    references = _References(inputs, embedder, embeddings.images.features.shape[1])
    fingerprints = {
        name: fingerprint(embedding, name, metric, len(embeddings.images), references.facts(name))
        for name, metric in metrics.items()
    }
    for name, own in fingerprints.items():
        for image_set in sets[1:]:
            require_same(METRICS[name][0], own, {**own, "count": len(image_set)})
    outcomes = _measured(metrics, sets, references, settings.seed, embedder.stage)
    estimates = [(name, item) for name, outcome in outcomes.items() for item in outcome.estimates]
    numbers = {estimate.name: estimate for _, estimate in estimates}
    metric_of = {estimate.name: name for name, estimate in estimates}
    if isinstance(inputs.versus, EarlierScores):
        compared = _compared_with_earlier(inputs.versus, numbers, metric_of, fingerprints)
    else:
        compared = [pair for outcome in outcomes.values() for pair in outcome.comparisons]
    sizes = {name: image_set.sizes for name, image_set in embedder.sets.items()} | references.sizes
    if isinstance(inputs.versus, EarlierScores):
        sizes["versus"] = inputs.versus.sizes
    notes = notes_of_inputs(inputs) + note_of_sizes(sizes) + references.notes
    for name, metric in metrics.items():
        if isinstance(metric, InceptionScoreMetric):
            notes += notes_of_inception_score(metric, embeddings.images)
            for image_set in sets[1:]:
                notes += note_of_order(metric, image_set, "versus")
        elif name == "fid":
            reference_count = references.facts(name).get("reference_count")
            notes += notes_of_fid(outcomes[name].estimates, embeddings.images, reference_count)
    if isinstance(inputs.versus, EarlierScores):
        notes += notes_of_earlier(inputs.versus, metrics, notes)
    return Scores(
        inputs=inputs,
        settings=settings,
        embedding=embedding,
        images=embeddings,
        metric_of=metric_of,
        numbers=numbers,
        comparisons={comparison.name: comparison for comparison in corrected(compared)},
        fingerprints=fingerprints,
        memorization=(
            None if inputs.training is None else _nearest(inputs.training, embeddings, embedder)
        ),
        sets=embedder.sets,
        notes=list(dict.fromkeys(notes)),
    )


class _Embedder:
    """Features and logits of each set of images, computed once; `sets` has their counts."""

    def __init__(self, embedding: Embedding, settings: ScoreSettings, stage: Stage) -> None:
        self.embedding, self.settings, self.stage = embedding, settings, stage
        self.sets: dict[str, SetCounts] = {}

    def __call__(self, name: str, image_set: ImageSet) -> Embeddings:
        if isinstance(image_set, SavedFeatures):
            embeddings = Embeddings(
                image_set.images,
                np.arange(len(image_set)),
                [],
                0.0,
                image_set.sha256,
                image_set.sizes,
            )
        else:
            with self.stage(f"features of {name}", "images") as progress:
                embeddings = embed(
                    self.embedding,
                    image_set,
                    skip_unreadable=self.settings.skip_unreadable,
                    progress=progress,
                )
        self.sets[name] = SetCounts(len(embeddings.images), embeddings.skipped, embeddings.sizes)
        return embeddings


class _References:
    """Reference of each metric, and its entries in the fingerprints."""

    def __init__(self, inputs: ScoreInputs, embedder: _Embedder, features: int) -> None:
        self.notes: list[Note] = []
        self.sizes: dict[str, Sizes | None] = {}
        self._reference: Reference = None
        self._facts: dict[str, Any] = {}
        self._saved = inputs.statistics
        reference = inputs.reference
        if isinstance(reference, SavedReference):
            self._reference, self._facts = reference.statistics, facts_of_statistics(reference)
            self.sizes["reference"] = reference.sizes
        elif reference is not None:
            embeddings = embedder("reference", reference)
            self._reference = embeddings.images
            self._facts = {
                "reference_sha256": embeddings.sha256,
                "reference_count": len(embeddings.images),
            }
        if self._saved is not None and len(self._saved.statistics.mean) != features:
            self.notes.append(
                Note(
                    "fid",
                    f"{self._saved.place} has statistics of {len(self._saved.statistics.mean):,} features,"
                    f" but the network has {features:,}: FID uses the images in the file instead",
                )
            )
            self._saved = None

    def metric_reference(self, name: MetricName) -> Reference:
        """Reference of a metric."""
        if name == "fid" and self._saved is not None:
            return self._saved.statistics
        return self._reference

    def facts(self, name: MetricName) -> dict[str, Any]:
        """Entries of the reference in the fingerprint of a metric."""
        if name == "fid" and self._saved is not None:
            return facts_of_statistics(self._saved)
        return self._facts


def _measured(
    metrics: Mapping[MetricName, Metric],
    sets: Sequence[Embedded],
    references: _References,
    seed: int,
    stage: Stage,
) -> dict[MetricName, Outcome]:
    """Outcome of each metric; the products of all pairs are shared by the metrics that need them."""
    pairs = {name: metric for name, metric in metrics.items() if isinstance(metric, PairMetric)}
    outcomes: dict[MetricName, Outcome] = {}
    for name, metric in metrics.items():
        if name in outcomes:
            continue
        group = pairs if name in pairs else {name: metric}
        title = ", ".join(METRICS[member][0] for member in group)
        reference = references.metric_reference(name)
        # No unit: the steps are images, blocks of pairs or halves.
        with stage(f"{title}, with intervals", "") as progress:
            if name in pairs:
                numbers = measure_pairs(
                    list(pairs.values()), sets, reference, seed=seed, progress=progress
                )
            else:
                numbers = [metric.measure(sets, reference, seed=seed, progress=progress)]
        for member, measured in zip(group, numbers, strict=True):
            outcomes[member] = outcome(metrics[member], measured)
            if len(sets) > 1 and any(number.method == IN_ORDER for number in measured):
                outcomes[member] = _outcome_one_by_one(metric, sets, seed)
    return {name: outcomes[name] for name in metrics}


def _outcome_one_by_one(metric: Metric, sets: Sequence[Embedded], seed: int) -> Outcome:
    """Outcome of two sets of which one is in some order: the other has an interval, the difference none."""
    first, second = (
        outcome(metric, metric.measure([images], None, seed=seed)).estimates[0] for images in sets
    )
    return Outcome([first], [compare_estimates(first, second)])


def _compared_with_earlier(
    earlier: EarlierScores,
    numbers: dict[str, Estimate],
    metric_of: dict[str, MetricName],
    fingerprints: dict[MetricName, dict[str, Any]],
) -> list[Comparison]:
    """Comparisons of the numbers that the earlier call computed too."""
    comparisons = []
    for name in numbers:
        if name not in earlier.numbers:
            continue
        metric, (earlier_estimate, earlier_fingerprint) = metric_of[name], earlier.numbers[name]
        require_same(METRICS[metric][0], fingerprints[metric], earlier_fingerprint)
        comparisons.append(compare_estimates(numbers[name], earlier_estimate))
    return comparisons


def _nearest(training: ImageSet, embeddings: Embeddings, embedder: _Embedder) -> Neighbours:
    """Nearest training images; their indices are those among all images, unreadable ones included."""
    training_embeddings = embedder("training", training)
    with embedder.stage("nearest training images", "images"):
        nearest = nearest_training_images(
            embeddings.images.features, training_embeddings.images.features
        )
    return replace(nearest, indices=torch.from_numpy(training_embeddings.indices)[nearest.indices])
