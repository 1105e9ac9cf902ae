"""Scores of images: embedded once, measured by every metric, with intervals and fingerprints."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from convergan.data.image_stream import Size
from convergan.metrics.fingerprint import require_same
from convergan.metrics.inception_score import InceptionScoreMetric
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
from convergan.scoring.inputs import Given, ImageSet, SavedReference, ScoreInputs, open_inputs
from convergan.scoring.networks import features_embedding, open_embedding
from convergan.scoring.notes import (
    Note,
    note_of_order,
    note_of_sizes,
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
from convergan.scoring.scores import Scores, Seen
from convergan.scoring.settings import MetricName, ScoreSettings
from convergan.scoring.table import Earlier

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
    files, a .npy or .npz, features that were saved, or a run, whose generator then draws `settings.count`
    images) or as arrays: [n, height, width], [n, height, width, channels] or [n, channels, height, width], 1
    or 3 channels, uint8 or, with `settings.pixel_range`, floats.

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
        settings: all else, such as the protocol of the Inception score and the seed.
        progress: show progress bars on the standard error.

    Returns:
        The numbers, by name; see `Scores`. What there is to say against them is in its `notes`, and each is
        a warning of Python.

    Raises:
        UserError: something is missing, cannot be read, or does not fit; whatever is known of this beforehand
            is raised before the network looks at an image.

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
    """Opens the network and scores what has been opened; arguments and errors are those of `score`."""
    # Before the network, which may have to be downloaded.
    require_sets(inputs, settings, chosen_metrics(settings, inputs))
    unnamed = classifier is None and weights is None
    if unnamed and not inputs.streams and isinstance(inputs.images, SavedFeatures):
        given = features_embedding(inputs.images.fingerprint)
        return measure(inputs, given, settings, _stage(quiet))
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
    metrics = chosen_metrics(settings, inputs)
    require_sets(inputs, settings, metrics)
    require_network(inputs, embedding, settings, metrics)
    look = _Look(embedding, settings, stage or (lambda *_: nullcontext(lambda *_: None)))
    ours = look("images", inputs.images)
    if isinstance(inputs.reference, SavedReference):
        require_features(inputs.reference, ours.images.features.shape[1])
    sets = [ours.images]
    if isinstance(inputs.versus, ImageSet):
        sets.append(look("versus", inputs.versus).images)
    references = _References(inputs, look, ours.images.features.shape[1])
    fingerprints = {
        name: fingerprint(embedding, name, metric, len(ours.images), references.facts(name))
        for name, metric in metrics.items()
    }
    for name, own in fingerprints.items():
        for others in sets[1:]:
            require_same(METRICS[name][0], own, {**own, "count": len(others)})
    found = _measured(metrics, sets, references, settings.seed, look.stage)
    numbers = {one.name: one for outcome in found.values() for one in outcome.estimates}
    metric_of = {one.name: name for name, outcome in found.items() for one in outcome.estimates}
    if isinstance(inputs.versus, Earlier):
        compared = _compared_with_earlier(inputs.versus, numbers, metric_of, fingerprints)
    else:
        compared = [one for outcome in found.values() for one in outcome.comparisons]
    notes = notes_of_inputs(inputs, settings) + note_of_sizes(look.sizes) + references.notes
    for name, metric in metrics.items():
        if isinstance(metric, InceptionScoreMetric):
            notes += notes_of_inception_score(metric, ours.images)
            for others in sets[1:]:
                notes += note_of_order(metric, others, "versus")
        elif name == "fid":
            reference_count = references.facts(name).get("reference_count")
            notes += notes_of_fid(found[name].estimates, ours.images, reference_count)
    return Scores(
        inputs=inputs,
        settings=settings,
        embedding=embedding,
        images=ours,
        metric_of=metric_of,
        numbers=numbers,
        comparisons={one.name: one for one in corrected(compared)},
        fingerprints=fingerprints,
        memorization=None if inputs.training is None else _nearest(inputs.training, ours, look),
        sets=look.sets,
        notes=list(dict.fromkeys(notes)),
    )


class _Look:
    """Sets of images, each looked at once by the network; `sets` says what became of them."""

    def __init__(self, embedding: Embedding, settings: ScoreSettings, stage: Stage) -> None:
        self.embedding, self.settings, self.stage = embedding, settings, stage
        self.sets: dict[str, Seen] = {}
        self.sizes: dict[str, frozenset[Size]] = {}

    def __call__(self, name: str, given: ImageSet) -> Embeddings:
        if isinstance(given, SavedFeatures):
            found = Embeddings(given.images, np.arange(len(given)), [], 0.0, given.sha256)
        else:
            with self.stage(f"looking at {name}", "images") as progress:
                found = embed(
                    self.embedding,
                    given,
                    skip_unreadable=self.settings.skip_unreadable,
                    progress=progress,
                )
        self.sets[name] = Seen(len(found.images), found.skipped)
        self.sizes[name] = found.sizes
        return found


class _References:
    """The reference as each metric takes it, and what the fingerprints say of it."""

    def __init__(self, inputs: ScoreInputs, look: _Look, features: int) -> None:
        self.notes: list[Note] = []
        self._reference: Reference = None
        self._facts: dict[str, Any] = {}
        self._saved = inputs.statistics
        given = inputs.reference
        if isinstance(given, SavedReference):
            self._reference, self._facts = given.statistics, facts_of_statistics(given)
        elif given is not None:
            seen = look("reference", given)
            self._reference = seen.images
            self._facts = {"reference_sha256": seen.sha256, "reference_count": len(seen.images)}
        if self._saved is not None and len(self._saved.statistics.mean) != features:
            self.notes.append(
                Note(
                    "fid",
                    f"{self._saved.place} has statistics of {len(self._saved.statistics.mean):,} features,"
                    f" the network has {features:,}: FID is beside the images of the file",
                )
            )
            self._saved = None

    def of(self, name: MetricName) -> Reference:
        """As a metric takes it."""
        if name == "fid" and self._saved is not None:
            return self._saved.statistics
        return self._reference

    def facts(self, name: MetricName) -> dict[str, Any]:
        """For the metric's fingerprint."""
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
    """What each metric says; those that need the products of all pairs share them."""
    pairs = {name: one for name, one in metrics.items() if isinstance(one, PairMetric)}
    found: dict[MetricName, Outcome] = {}
    for name, metric in metrics.items():
        if name in found:
            continue
        together = pairs if name in pairs else {name: metric}
        title = ", ".join(METRICS[one][0] for one in together)
        reference = references.of(name)
        # Parts of the work: images, blocks of pairs, halves.
        with stage(f"{title}, with intervals", "") as progress:
            if name in pairs:
                numbers = measure_pairs(
                    list(pairs.values()), sets, reference, seed=seed, progress=progress
                )
            else:
                numbers = [metric.measure(sets, reference, seed=seed, progress=progress)]
        for (one, of_one), measured in zip(together.items(), numbers, strict=True):
            found[one] = outcome(of_one, measured)
    return {name: found[name] for name in metrics}


def _compared_with_earlier(
    earlier: Earlier,
    numbers: dict[str, Estimate],
    metric_of: dict[str, MetricName],
    fingerprints: dict[MetricName, dict[str, Any]],
) -> list[Comparison]:
    """Those numbers that the earlier call has too."""
    comparisons = []
    for name in numbers:
        if name not in earlier.numbers:
            continue
        metric, (other, other_fingerprint) = metric_of[name], earlier.numbers[name]
        require_same(METRICS[metric][0], fingerprints[metric], other_fingerprint)
        comparisons.append(compare_estimates(numbers[name], other))
    return comparisons


def _nearest(training: ImageSet, ours: Embeddings, look: _Look) -> Neighbours:
    """The nearest training images; their places are those among all, unreadable ones included."""
    of_training = look("training", training)
    with look.stage("nearest training images", "images"):
        nearest = nearest_training_images(ours.images.features, of_training.images.features)
    return replace(nearest, places=torch.from_numpy(of_training.places)[nearest.places])
