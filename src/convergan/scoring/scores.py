"""What comes out of scoring: numbers with intervals, and everything that they depend on."""

from dataclasses import dataclass, field
from typing import Any

from convergan.data.image_stream import ImageStream
from convergan.images.read_images import SkippedImage
from convergan.json_files import json_values
from convergan.metrics.memorization import Neighbours
from convergan.metrics.metric import Comparison, Estimate
from convergan.scoring.embedding import Embedding, Embeddings
from convergan.scoring.features import SavedFeatures
from convergan.scoring.inputs import SavedReference, ScoreInputs
from convergan.scoring.notes import Note
from convergan.scoring.settings import MetricName, ScoreSettings
from convergan.scoring.table import SCHEMA, Earlier, scores_as_dict


@dataclass(frozen=True)
class Seen:
    """What became of a set of images."""

    count: int
    """Number of images that the network looked at."""

    skipped: list[SkippedImage]
    """Images that could not be read and were left out."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a set of images.

    `numbers` and `comparisons` are what to look at first; `as_dict()` is all of it as JSON has it.
    """

    inputs: ScoreInputs
    """What was scored, and what was beside it."""

    settings: ScoreSettings
    """The settings that it was scored by."""

    embedding: Embedding
    """The network that looked at the images."""

    images: Embeddings
    """The images as that network saw them: `images.images.features` and `.logits`, one row an image."""

    sets: dict[str, Seen]
    """images, versus, reference, training: those that were looked at."""

    metric_of: dict[str, MetricName]
    """The metric that each of `numbers` comes from."""

    numbers: dict[str, Estimate]
    """The numbers by name: `Inception score`, `FID`, `FID infinity`, `KID`, `precision`, `recall`, `density`,
    `coverage`.

    Each has a `value`, an `interval` of 95 % (`low`, `high`) or None, the `method` that it was found by or
    why there is none, and the `stdev` that papers report, or None."""

    comparisons: dict[str, Comparison]
    """With `versus`, by the same names: `first` and `second`, their `difference` and its `interval`, and
    whether they are `distinguishable`, by `p_holm`, corrected for the number of comparisons. Of an earlier
    call there may be fewer than numbers."""

    fingerprints: dict[MetricName, dict[str, Any]]
    """Everything that a metric's numbers depend on: those with other ones do not compare."""

    memorization: Neighbours | None
    """With `training`: the nearest training image of each image."""

    notes: list[Note] = field(default_factory=list)
    """What there is to say against the numbers: `metric`, None for all, and `message`."""

    @property
    def authenticity(self) -> float | None:
        """With `training`, the share of images that are no copies, 0 to 1: about .5 for real ones."""
        return None if self.memorization is None else self.memorization.authenticity

    def as_dict(self) -> dict[str, Any]:
        """What `convergan score --json` writes: plain values, None for numbers that are not finite."""
        content: dict[str, Any] = {"schema": SCHEMA}
        for name, given in vars(self.inputs).items():
            if isinstance(given, ImageStream):
                seen = self.sets[name]
                content[name] = {
                    "place": given.place,
                    "count": seen.count,
                    "skipped": [{"name": one.name, "reason": one.reason} for one in seen.skipped],
                    "split": given.split,
                    "pixel_range": given.pixel_range,
                    "seed": given.seed,
                }
            elif isinstance(given, Earlier):
                content[name] = {"place": given.images, "scores": given.place}
            elif isinstance(given, SavedFeatures):
                content[name] = {
                    "place": given.place,
                    "count": len(given),
                    "sha256": given.sha256,
                    "skipped": [],
                }
            elif isinstance(given, SavedReference):
                content[name] = {"place": given.place, "count": given.statistics.count}
        content["seed"] = self.settings.seed
        content["notes"] = [note._asdict() for note in self.notes]
        content["scores"] = scores_as_dict(
            [(self.metric_of[name], one) for name, one in self.numbers.items()],
            [(self.metric_of[name], one) for name, one in self.comparisons.items()],
            self.fingerprints,
        )
        if self.authenticity is not None:
            content["authenticity"] = self.authenticity
        plain: dict[str, Any] = json_values(content)
        return plain
