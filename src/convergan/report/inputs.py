"""The inputs of a report: plain values and arrays, so that any training loop can have a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from convergan.report.expected import ExpectedCurve
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.manifest import Manifest
from convergan.runs.results import ErrorRate, Results


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A tested image with the classifier's prediction."""

    image: np.ndarray
    """Pixels, uint8 `[height, width, channels]`, 1 or 3 channels."""

    name: str
    """The image's file name, or its index in the data set."""

    predicted: str
    """The predicted class."""

    label: str | None
    """The true class; None if it is unknown."""

    confidence: float
    """Probability of the predicted class, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """Summary of one of the trainings that a run compares."""

    name: str
    """Name of the arm: `composed`, `gan`, `consistency`, `baseline`, `frozen`, or any other."""

    test: ErrorRate | None = None
    """Error rate on the images that all arms are tested on; None without a test."""

    minutes: float
    """Duration of its training in minutes."""

    steps: int | None = None
    """Number of its training steps; None for an arm that is not trained in steps."""

    held_out_errors: int | None = None
    """Number of errors on the labelled images that were held out to choose an arm; None without any."""

    held_out_size: int | None = None
    """Number of labelled images that were held out."""

    p_value: float | None = None
    """The p-value of the exact McNemar test against the saved arm, 0 to 1; None for that arm itself."""

    saved: bool = False
    """True for the arm whose model is saved."""

    epochs: list[EpochLine] = field(default_factory=list)
    """Epochs of the arm in their order; empty for an arm without epochs."""


@dataclass(frozen=True, kw_only=True)
class MemberSummary:
    """Summary of a member of an ensemble."""

    seed: int
    """Seed of its training."""

    test: ErrorRate | None = None
    """Error rate of the member on the ensemble's test images; None without a test."""

    baseline: ErrorRate | None = None
    """Error rate of its baseline; None without a baseline."""

    seconds: float
    """Duration of its training in seconds."""

    report: str = ""
    """Path of its own report, relative to that of the ensemble; empty without a report."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A tested image on which the arms disagree."""

    image: np.ndarray
    """Pixels, uint8 `[height, width, channels]`, 1 or 3 channels."""

    name: str
    """The image's file name, or its index in the data set."""

    label: str
    """The true class."""

    answers: Mapping[str, str]
    """Class predicted by each arm, by the arm's name."""

    confidences: Mapping[str, float]
    """Probability of each arm's answer, 0 to 1, by the arm's name."""


@dataclass(frozen=True, kw_only=True)
class Disagreements:
    """The images on which the arms disagree."""

    examples: list[Disagreement]
    """Selected images, the most informative one first."""

    count: int
    """Number of all images on which the arms disagree."""

    size: int
    """Number of images that the arms were tested on."""


@dataclass(frozen=True, kw_only=True)
class ViewExamples:
    """Some training images, and the augmented views of them."""

    images: np.ndarray
    """The images as they are, uint8 `[n, height, width, channels]`, 1 or 3 channels; six or so."""

    views: Mapping[str, np.ndarray]
    """Views of the images in the same order and format, by their name: `weak`, `labelled` or `strong`."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """All content of the report of a run."""

    title: str
    """Title that names the run: "digits, 100 labels, seed 0"."""

    verdict: str
    """Verdict on the run, in one or two sentences."""

    results: Results | None
    """Results of the run; None for a run without labels."""

    epochs: list[EpochLine]
    """Epochs in their order, with arms those of the saved one; an unknown number is None or NaN."""

    recipe: Mapping[str, object]
    """Every setting by its name; groups of settings are such mappings themselves."""

    manifest: Manifest | None
    """Manifest of the run; None if it is unknown."""

    warnings: list[HealthWarning]
    """Warnings in the order of their epochs."""

    classes: list[str]
    """The names of the classes."""

    confusion: np.ndarray | None
    """Counts `[classes, classes]`: rows are true classes, columns predicted ones."""

    real_images: np.ndarray
    """Images of the data, uint8 `[n, height, width, channels]`."""

    generated_images: np.ndarray | None
    """Generated images, uint8 `[n, height, width, channels]`; None without a generator."""

    most_certain: list[Prediction]
    """Most confident predictions, the most confident first."""

    least_certain: list[Prediction]
    """Least confident predictions, the least confident first."""

    worth_labelling: list[Prediction] = field(default_factory=list)
    """Unlabelled training images with the least confident predictions, the least confident first."""

    worth_labelling_note: str = ""
    """Description of the images from which `worth_labelling` was chosen, or the reason why it is empty."""

    data: list[tuple[str, str]] = field(default_factory=list)
    """Facts on the images as they were read: rows of a table."""

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
    """Augmented views of training images; None for a run without augmentation."""
