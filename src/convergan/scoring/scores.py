"""Results of scoring: numbers with intervals, and everything that they depend on."""

from dataclasses import dataclass, field
from typing import Any

from convergan.data.image_stream import ImageStream
from convergan.images.read_images import SkippedImage
from convergan.images.sizes import Sizes
from convergan.json_files import json_values
from convergan.metrics.memorization import Neighbours
from convergan.metrics.metric import Comparison, Estimate
from convergan.scoring.embedding import Embedding, Embeddings
from convergan.scoring.features import SavedFeatures
from convergan.scoring.inputs import SavedReference, ScoreInputs
from convergan.scoring.note import Note
from convergan.scoring.settings import MetricName, ScoreSettings
from convergan.scoring.table import SCHEMA, EarlierScores, scores_as_dict


@dataclass(frozen=True)
class SetCounts:
    """Counts of a set of images: scored and skipped."""

    count: int
    """Number of images whose features were used."""

    skipped: list[SkippedImage]
    """Images that could not be read and were skipped."""

    sizes: Sizes | None = None
    """Height and width of the smallest and of the largest image, as the network received them; None: not
    known."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a set of images.

    `numbers` and `comparisons` are the results; `as_dict()` has all of them as in the JSON file.
    """

    inputs: ScoreInputs
    """Images that were scored, and the sets they were compared with."""

    settings: ScoreSettings
    """Settings of the scores."""

    embedding: Embedding
    """Network that computed features and logits."""

    images: Embeddings
    """Outputs of the network: `images.images.features` and `images.images.logits`, one row per image."""

    sets: dict[str, SetCounts]
    """Counts of each set of images by its name: `images`, `versus`, `reference`, `training`."""

    metric_of: dict[str, MetricName]
    """Metric that each of `numbers` comes from."""

    numbers: dict[str, Estimate]
    """Numbers by name: `Inception score`, `FID`, `FID infinity`, `KID`, `precision`, `recall`, `density`,
    `coverage`.

    Each has a `value`, an `interval` of 95 % (`low`, `high`) or None, the `method` of the interval or the
    reason why there is none, and the `stdev` that papers report, or None."""

    comparisons: dict[str, Comparison]
    """Comparisons with `versus`, by the same names.

    Each has `first` and `second`, their `difference` with its `interval`, and `distinguishable`: whether
    `p_holm`, the p-value corrected for the number of comparisons, is below 5 %. Numbers that an earlier call
    did not compute are not compared."""

    fingerprints: dict[MetricName, dict[str, Any]]
    """Fingerprint of each metric: everything that its numbers depend on. Only numbers with equal fingerprints
    are comparable."""

    memorization: Neighbours | None
    """Nearest training image of each image; None without `training`."""

    notes: list[Note] = field(default_factory=list)
    """Warnings about the numbers: `metric`, None for all of them, and `message`."""

    @property
    def authenticity(self) -> float | None:
        """Share of images that are no copies of `training` images, 0 to 1; about 0.5 for real images.

        None without `training`.
        """
        return None if self.memorization is None else self.memorization.authenticity

    def as_dict(self) -> dict[str, Any]:
        """Content of the file that `convergan score --json` writes.

        All values are plain; numbers that are not finite are None.
        """
        content: dict[str, Any] = {"schema": SCHEMA}
        for name, source in vars(self.inputs).items():
            if isinstance(source, ImageStream):
                image_set = self.sets[name]
                content[name] = {
                    "place": source.place,
                    "count": image_set.count,
                    "sizes": image_set.sizes,
                    "skipped": [
                        {"name": skip.name, "reason": skip.reason} for skip in image_set.skipped
                    ],
                    "split": source.split,
                    "pixel_range": source.pixel_range,
                    "seed": source.seed,
                }
            elif isinstance(source, EarlierScores):
                content[name] = {"place": source.images, "scores": source.place}
            elif isinstance(source, SavedFeatures):
                content[name] = {
                    "place": source.place,
                    "count": len(source),
                    "sizes": source.sizes,
                    "sha256": source.sha256,
                    "skipped": [],
                }
            elif isinstance(source, SavedReference):
                content[name] = {
                    "place": source.place,
                    "count": source.statistics.count,
                    "sizes": source.sizes,
                }
        content["seed"] = self.settings.seed
        content["notes"] = self.notes
        content["scores"] = scores_as_dict(
            [(self.metric_of[name], number) for name, number in self.numbers.items()],
            [(self.metric_of[name], compared) for name, compared in self.comparisons.items()],
            self.fingerprints,
        )
        if self.authenticity is not None:
            content["authenticity"] = self.authenticity
        plain: dict[str, Any] = json_values(content)
        return plain
