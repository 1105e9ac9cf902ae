"""What a report is made from: plain values and arrays, so that any loop can have one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.manifest import Manifest
from convergan.runs.results import Results


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One image that was tested, with what the classifier said of it."""

    image: np.ndarray
    """uint8 `[height, width, channels]`, 1 or 3 channels."""

    name: str
    """The image's file name, or its place in the data set."""

    predicted: str
    """The class that the classifier chose."""

    label: str | None
    """The true class; None where nobody knows it."""

    confidence: float
    """Probability that the classifier gives its choice, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Everything that stands in the report of one run."""

    title: str
    """Names the run: "digits, 100 labels, seed 0"."""

    verdict: str
    """What came of it, in one sentence."""

    results: Results | None
    """What the run came to; None for a run without labels."""

    epochs: list[EpochLine]
    """The epochs in their order; a number that is not known is None or NaN."""

    recipe: Mapping[str, object]
    """Every setting by its name; groups of settings are such mappings themselves."""

    manifest: Manifest | None
    """Where the run comes from; None where that is not known."""

    warnings: list[HealthWarning]
    """Warnings in the order of their epochs."""

    classes: list[str]
    """The names of the classes."""

    confusion: np.ndarray | None
    """Counts `[classes, classes]`: rows are true classes, columns predicted ones."""

    real_images: np.ndarray
    """uint8 `[n, height, width, channels]`."""

    generated_images: np.ndarray | None
    """uint8 `[n, height, width, channels]`; None where there is no generator."""

    most_certain: list[Prediction]
    """Where the classifier was surest, the surest first."""

    least_certain: list[Prediction]
    """Where it was least sure, the least sure first."""

    worth_labelling: list[Prediction] = field(default_factory=list)
    """Training images without a label of which the classifier is least sure, the least sure first."""

    worth_labelling_note: str = ""
    """Description of the images that those were chosen from, or the reason that there are none."""

    data: list[tuple[str, str]] = field(default_factory=list)
    """Facts on the images as they were understood: rows of a table."""

    judged: bool = True
    """True if there were enough epochs for a warning to be raised at all."""
