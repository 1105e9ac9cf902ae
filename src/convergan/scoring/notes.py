"""Notes that warn how far numbers can be trusted, for the terminal and for the JSON."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from convergan.images.sizes import Sizes
from convergan.metrics.inception_score_metric import (
    FEWEST_A_SPLIT,
    InceptionScoreMetric,
)
from convergan.metrics.metric import Embedded, Estimate
from convergan.metrics.splits_check import SplitsCheck
from convergan.scoring.inputs import SavedReference, ScoreInputs
from convergan.scoring.note import Note
from convergan.scoring.settings import MetricName
from convergan.scoring.table import EarlierScores

_LARGE_BIAS = 0.02
"""Relative bias of the Inception score above which there is a note."""

_KNOWN_BIAS = 0.3
"""Relative bias of the Inception score up to which its estimate, of first order, is worth giving."""

_LARGE_FID_BIAS = 0.1
"""Relative bias of FID above which there is a note."""


def notes_of_inputs(inputs: ScoreInputs) -> list[Note]:
    """Notes about the inputs, which need no network."""
    notes = [
        Note(None, f"{name}: {note}", name)
        for name, stream in inputs.streams.items()
        for note in stream.notes
    ]
    for saved in (inputs.reference, inputs.statistics):
        if isinstance(saved, SavedReference) and saved.network is None:
            notes.append(
                Note(
                    "fid",
                    f"{saved.place} does not name the network and the resize behind its statistics: compare"
                    " this FID only with values from the same tool",
                )
            )
    return notes


def note_of_sizes(sizes: Mapping[str, Sizes | None]) -> list[Note]:
    """Notes on sets whose images have other sizes than the scored ones.

    Args:
        sizes: sizes of the images of each set, `images` among them; None if not known.
    """
    own = sizes.get("images")
    return [
        Note(
            None,
            f"the scored images are {own} px, those of {name} {set_sizes} px: the difference in size alone"
            " changes every number",
            name,
        )
        for name, set_sizes in sizes.items()
        if own is not None and set_sizes is not None and not own.overlap(set_sizes)
    ]


def notes_of_earlier(
    earlier: EarlierScores, metrics: Collection[MetricName], own: Collection[Note]
) -> list[Note]:
    """Notes of an earlier call about the numbers that are compared with it, as notes on `versus`.

    Args:
        earlier: the earlier scores.
        metrics: metrics of this call; notes on others are left out.
        own: notes of this call, which are not repeated.
    """
    repeated = {(note.metric, note.message) for note in own}
    return [
        replace(note, message=f"versus: {note.message}", role="versus")
        for note in earlier.notes
        # What the earlier images were compared with is another set than this call's.
        if note.role in (None, "images", "reference")
        and (note.metric is None or note.metric in metrics)
        and (note.metric, note.message) not in repeated
    ]


def note_of_order(
    metric: InceptionScoreMetric, images: Embedded, name: str, check: SplitsCheck | None = None
) -> list[Note]:
    """A note if the order of a set changes its Inception score, as that of images sorted by class does.

    Args:
        metric: the Inception score with its splits.
        images: the set.
        name: the name of the set, for the note.
        check: the result of `metric.check`, if it is known already.
    """
    check = check or metric.check(images)
    if metric.in_order(check):
        shuffled = replace(metric, protocol="shuffled").check(images)
        return [
            Note(
                "is",
                f"the {metric.splits} contiguous splits of {name} differ by more than chance: the images are"
                f" in some order, such as by class, and the score depends on it: {check.score:.3f} in this"
                f" order, {shuffled.score:.3f} in random order (--protocol shuffled)",
                name,
            )
        ]
    return []


def notes_of_inception_score(metric: InceptionScoreMetric, images: Embedded) -> list[Note]:
    """Notes on an order that changes the Inception score, and on too few images."""
    check = metric.check(images)
    notes = note_of_order(metric, images, "images", check)
    images_per_split = len(images) / metric.splits
    bias = check.trace / 2 / images_per_split
    if bias > _LARGE_BIAS or images_per_split < FEWEST_A_SPLIT:
        amount = ""
        if bias > _LARGE_BIAS:
            amount = "far " if bias > _KNOWN_BIAS else f"about {100 * bias:.0f} % "
        notes.append(
            Note(
                "is",
                f"{len(images):,} images in {metric.splits} splits make the score {amount}too low because"
                " each split has few images: compare it only with scores of as many images and splits",
            )
        )
    return notes


def notes_of_fid(
    estimates: Sequence[Estimate], images: Embedded, reference_count: int | None
) -> list[Note]:
    """A note if the bias of FID is large compared with FID itself.

    Args:
        estimates: FID and, if there are enough images, FID infinity.
        images: the scored images.
        reference_count: number of images of the reference; None: not known.
    """
    numbers = {estimate.name: estimate.value for estimate in estimates}
    count, features = images.features.shape
    few_reference_images = reference_count is not None and reference_count < 2 * features
    if "FID infinity" not in numbers or few_reference_images:
        compared = "" if reference_count is None else f" against {reference_count:,}"
        return [
            Note(
                "fid",
                f"FID of {count:,} images{compared} is far too high: {features:,} features need at least"
                f" {2 * features:,} images of either set; KID has no such bias",
            )
        ]
    bias = numbers["FID"] - numbers["FID infinity"]
    if bias > _LARGE_FID_BIAS * max(numbers["FID"], 0):
        return [
            Note(
                "fid",
                f"FID of {count:,} images with {features:,} features is about {bias:.3g} too high: compare it"
                " only with FID of as many images, or use FID infinity or KID, which do not have this bias",
            )
        ]
    return []
