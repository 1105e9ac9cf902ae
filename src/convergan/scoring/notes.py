"""What there is to say against numbers: notes, for the terminal and for the JSON."""

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
"""Splits that differ by more than is seen so often by chance are told of."""

_LARGE_BIAS = 0.02
"""Of the Inception score."""

_LARGE_FID_BIAS = 0.1
"""Of FID."""


class Note(NamedTuple):
    """Something that whoever reads a number must know."""

    metric: MetricName | None
    """None: of all of them."""
    message: str


def notes_of_inputs(inputs: ScoreInputs, settings: ScoreSettings) -> list[Note]:
    """What is known before the network looks at images."""
    notes = [
        Note(None, f"{name}: {note}")
        for name, stream in inputs.streams.items()
        for note in stream.notes
    ]
    if settings.count is not None and all(one.seed is None for one in inputs.sets.values()):
        notes.append(
            Note(None, f"count {settings.count:,} does nothing: it is of images drawn from a run")
        )
    for saved in (inputs.reference, inputs.statistics):
        if isinstance(saved, SavedReference) and saved.network is None:
            notes.append(
                Note(
                    "fid",
                    f"{saved.place} does not say by which network and resize its statistics were made: FID"
                    " compares only with that of the same tool",
                )
            )
    return notes


def note_of_sizes(sizes: Mapping[str, frozenset[Size]]) -> list[Note]:
    """Sets whose images measure otherwise than those that are scored.

    Args:
        sizes: height and width of the images of each set, `images` among them; empty where not known.
    """
    own, notes = sizes.get("images", frozenset()), []
    for name, of_set in sizes.items():
        apart = not own & of_set or (len(own) == 1) != (len(of_set) == 1)
        if own and of_set and apart:
            notes.append(
                Note(
                    None,
                    f"images measure {_shown(own)} px, those of {name} {_shown(of_set)} px: the difference in"
                    " size alone moves every number",
                )
            )
    return notes


def note_of_order(
    metric: InceptionScoreMetric, images: Embedded, name: str, check: SplitsCheck | None = None
) -> list[Note]:
    """An order that the splits of a set, `name`, depend on; `check` where it is known already."""
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
                f"the {metric.splits} contiguous splits of {name} differ by more than chance: they are in an"
                f" order, by class say, and the score depends on it: {check.score:.3f} as they are,"
                f" {shuffled.score:.3f} in a drawn order (--protocol shuffled)",
            )
        ]
    return []


def notes_of_inception_score(metric: InceptionScoreMetric, images: Embedded) -> list[Note]:
    """An order that splits depend on, and too few images."""
    check = check_splits(metric, images)
    notes = note_of_order(metric, images, "images", check)
    of_split = len(images) / metric.splits
    bias = check.between / 2 / of_split
    if bias > _LARGE_BIAS or of_split < FEWEST_A_SPLIT:
        by = f"some {bias:.0%} " if bias > _LARGE_BIAS else ""
        notes.append(
            Note(
                "is",
                f"Inception score of {len(images):,} images in {metric.splits} splits is {by}too low, as"
                f" each has few: it compares only with that of as many",
            )
        )
    return notes


def notes_of_fid(
    estimates: Sequence[Estimate], images: Embedded, reference_count: int | None
) -> list[Note]:
    """A bias that is large beside the number.

    Args:
        estimates: FID and, where there are images enough, FID infinity.
        images: that were scored.
        reference_count: images of the reference; None: not known.
    """
    numbers = {one.name: one.value for one in estimates}
    count, features = images.features.shape
    few = reference_count is not None and reference_count < 2 * features
    if "FID infinity" not in numbers or few:
        beside = "" if reference_count is None else f" beside {reference_count:,}"
        return [
            Note(
                "fid",
                f"FID of {count:,} images{beside} is far too high with {features:,} features: two images a"
                " feature are the least; KID is not biased so",
            )
        ]
    bias = numbers["FID"] - numbers["FID infinity"]
    if bias > _LARGE_FID_BIAS * max(numbers["FID"], 0):
        return [
            Note(
                "fid",
                f"FID of so few images beside {features:,} features is about {bias:.3g} too high: compare"
                f" it only with that of as many, or FID infinity, or KID, which is not biased so",
            )
        ]
    return []


def _chance_of_splits(check: SplitsCheck) -> float:
    """That splits of images in a drawn order differ as much, by a chi-square with as much mean and
    variance."""
    if check.between <= 0 or check.squares <= 0 or check.splits < 2:
        return 1.0
    scale = check.squares / check.between
    degrees = (check.splits - 1) * check.between / scale
    return float(chi2.sf(check.statistic / scale, degrees))


def _shown(sizes: frozenset[Size]) -> str:
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    first, last = (f"{width}x{height}" for height, width in (ordered[0], ordered[-1]))
    return first if first == last else f"{first} to {last}"
