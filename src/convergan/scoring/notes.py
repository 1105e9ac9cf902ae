"""Notes that warn how far numbers can be trusted, for the terminal and for the JSON."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import chi2

from convergan.data.image_stream import Size
from convergan.metrics.inception_score import (
    FEWEST_A_SPLIT,
    InceptionScoreMetric,
)
from convergan.metrics.metric import Embedded, Estimate
from convergan.metrics.splits_check import SplitsCheck, check_splits
from convergan.scoring.inputs import SavedReference, ScoreInputs
from convergan.scoring.settings import MetricName, ScoreSettings

_CHANCE = 1e-4
"""Probability of differences between splits below which there is a note."""

_LARGE_BIAS = 0.02
"""Relative bias of the Inception score above which there is a note."""

_LARGE_FID_BIAS = 0.1
"""Relative bias of FID above which there is a note."""


class Note(NamedTuple):
    """A warning to whoever reads a number."""

    metric: MetricName | None
    """Metric that the note is about; None: all metrics."""
    message: str


def notes_of_inputs(inputs: ScoreInputs, settings: ScoreSettings) -> list[Note]:
    """Notes about the inputs and settings, which need no network."""
    notes = [
        Note(None, f"{name}: {note}")
        for name, stream in inputs.streams.items()
        for note in stream.notes
    ]
    if settings.count is not None and all(
        image_set.seed is None for image_set in inputs.sets.values()
    ):
        notes.append(
            Note(None, f"count {settings.count:,} has no effect: no images are drawn from a run")
        )
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


def note_of_sizes(sizes: Mapping[str, frozenset[Size]]) -> list[Note]:
    """Notes on sets whose images have other sizes than the scored ones.

    Args:
        sizes: heights and widths of the images of each set, `images` among them; empty if not known.
    """
    own, notes = sizes.get("images", frozenset()), []
    for name, set_sizes in sizes.items():
        different = not own & set_sizes or (len(own) == 1) != (len(set_sizes) == 1)
        if own and set_sizes and different:
            notes.append(
                Note(
                    None,
                    f"the scored images are {_size_range(own)} px, those of {name}"
                    f" {_size_range(set_sizes)} px: the difference in size alone changes every number",
                )
            )
    return notes


def note_of_order(
    metric: InceptionScoreMetric, images: Embedded, name: str, check: SplitsCheck | None = None
) -> list[Note]:
    """A note if the order of a set changes its Inception score, as that of images sorted by class does.

    Args:
        metric: the Inception score with its splits.
        images: the set.
        name: the name of the set, for the note.
        check: the result of `check_splits`, if it is known already.
    """
    check = check or check_splits(metric, images)
    if metric.protocol == "paper" and _chance_of_splits(check) < _CHANCE:
        shuffled = check_splits(
            InceptionScoreMetric(
                protocol="shuffled", splits=metric.splits, split_seed=metric.split_seed
            ),
            images,
        )
        return [
            Note(
                "is",
                f"the {metric.splits} contiguous splits of {name} differ by more than chance: the images are"
                f" in some order, such as by class, and the score depends on it: {check.score:.3f} in this"
                f" order, {shuffled.score:.3f} in random order (--protocol shuffled)",
            )
        ]
    return []


def notes_of_inception_score(metric: InceptionScoreMetric, images: Embedded) -> list[Note]:
    """Notes on an order that changes the Inception score, and on too few images."""
    check = check_splits(metric, images)
    notes = note_of_order(metric, images, "images", check)
    images_per_split = len(images) / metric.splits
    bias = check.trace / 2 / images_per_split
    if bias > _LARGE_BIAS or images_per_split < FEWEST_A_SPLIT:
        amount = f"about {100 * bias:.0f} % " if bias > _LARGE_BIAS else ""
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


def _chance_of_splits(check: SplitsCheck) -> float:
    """Probability that splits of images in random order differ as much.

    It is that of a scaled chi-square distribution with the mean and variance of the statistic.
    """
    if check.trace <= 0 or check.squares <= 0 or check.splits < 2:
        return 1.0
    scale = check.squares / check.trace
    degrees = (check.splits - 1) * check.trace / scale
    return float(chi2.sf(check.statistic / scale, degrees))


def _size_range(sizes: frozenset[Size]) -> str:
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    first, last = (f"{width}x{height}" for height, width in (ordered[0], ordered[-1]))
    return first if first == last else f"{first} to {last}"
