"""What a report is made from: plain values and arrays, so that any loop can have one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from convergan.report.expected import ExpectedCurve
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.manifest import Manifest
from convergan.runs.results import ErrorRate, Results


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
class ArmSummary:
    """One of the trainings that a run compares."""

    name: str
    """`composed`, `gan`, `consistency`, `baseline`, `frozen`, or a name of one's own."""

    test: ErrorRate | None = None
    """Mistakes on the images that all arms are tested on; None where there are none."""

    minutes: float
    """Duration of its training in minutes."""

    steps: int | None = None
    """Number of its training steps; None for an arm that is not trained in steps."""

    held_out_errors: int | None = None
    """Mistakes on the labelled images that were held out to choose among the arms; None where none were."""

    held_out_size: int | None = None
    """Number of those images."""

    p_value: float | None = None
    """The p-value of the exact McNemar test against the saved arm, 0 to 1; None for that arm itself."""

    saved: bool = False
    """True for the arm whose model is saved."""

    epochs: list[EpochLine] = field(default_factory=list)
    """Its epochs in their order; empty for an arm that has none."""


@dataclass(frozen=True, kw_only=True)
class MemberSummary:
    """One member of an ensemble."""

    seed: int
    """Seed that it was trained with."""

    test: ErrorRate | None = None
    """Mistakes of it alone on the images that the ensemble is tested on; None where there are none."""

    baseline: ErrorRate | None = None
    """Mistakes of its baseline alone; None without one."""

    seconds: float
    """Duration of its training in seconds."""

    report: str = ""
    """Where its own report lies, relative to that of the ensemble; empty: nowhere."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """One image that was tested and that the arms answer differently."""

    image: np.ndarray
    """uint8 `[height, width, channels]`, 1 or 3 channels."""

    name: str
    """The image's file name, or its place in the data set."""

    label: str
    """The true class."""

    answers: Mapping[str, str]
    """The class that each arm chose, by the arm's name."""

    confidences: Mapping[str, float]
    """Probability that each arm gives its choice, 0 to 1, by the arm's name."""


@dataclass(frozen=True, kw_only=True)
class Disagreements:
    """The images that the arms answer differently."""

    shown: list[Disagreement]
    """The most telling ones, first the one that tells most."""

    count: int
    """Number of images that the arms answer differently, shown or not."""

    size: int
    """Number of images that the arms were tested on."""


@dataclass(frozen=True, kw_only=True)
class ViewExamples:
    """Some training images, and the augmented views of them."""

    images: np.ndarray
    """The images as they are, uint8 `[n, height, width, channels]`, 1 or 3 channels; six or so."""

    views: Mapping[str, np.ndarray]
    """By its name, `weak`, `labelled` or `strong`, one view of each image in the same order and format."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Everything that stands in the report of one run."""

    title: str
    """Names the run: "digits, 100 labels, seed 0"."""

    verdict: str
    """What came of it, in one or two sentences."""

    results: Results | None
    """What the run came to; None for a run without labels."""

    epochs: list[EpochLine]
    """The epochs in their order, with arms those of the saved one; a number that is not known is None or
    NaN."""

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

    expected: ExpectedCurve | None = None
    """Error rates of earlier runs of the same recipe; None where there are none."""

    judged: bool = True
    """True if there were enough epochs for a warning to be raised at all."""

    arms: list[ArmSummary] = field(default_factory=list)
    """The trainings that were compared, in the order of their colours; empty for a run that compares none."""

    members: list[MemberSummary] = field(default_factory=list)
    """The members of an ensemble in the order of their seeds, `epochs` being their means; empty for a single
    model."""

    disagreements: Disagreements | None = None
    """The images that the arms answer differently; None where the arms were not tested."""

    views: ViewExamples | None = None
    """What augmentation makes of the training images; None for a run without augmentation."""
