"""The file manifest.json: images, seeds, versions and devices behind a run's result."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import ConfigDict, TypeAdapter, with_config

from convergan.json_files import json_values, read_json, read_json_as, write_json
from convergan.runs.results import Count, Seconds


@dataclass(frozen=True, kw_only=True)
class TrainingProcess:
    """A process that trained a run, or several that trained it together."""

    started: str
    """Time of its start in UTC, "2026-11-28T08:36:54+00:00"."""

    command: str
    """Command that it was started with."""

    accelerator: str
    """Kind of device: "cpu" or "cuda"."""

    device: str
    """Device in words: "cpu, 2 threads", or the GPU's name."""

    processes: Annotated[int, Ge(1)]
    """Number of processes that trained together."""

    precision: str
    """Arithmetic of the training: "32-true" or "bf16-mixed"."""

    precision_of_terms: dict[str, str]
    """Precision of each part of a step, by name: "fp32" or "bf16"."""

    versions: dict[str, str]
    """Versions of Python and of packages, by name."""

    git_commit: str | None
    """Commit of the checkout that trained, with "-dirty" if it was changed; None for an installed package."""


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """An image that could not be read and was left out."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ManifestData:
    """The images of a run."""

    source: str
    """Source of the images."""

    fingerprint: str
    """SHA-256 that identifies the data set."""

    classes: list[str]
    """Names of the classes; none where nothing is classified."""

    image_shape: tuple[int, int, int]
    """Height, width and channels of the images."""

    train_size: Count
    """Number of training images, labelled or not."""

    test_size: Count | None
    """Number of images of the test set; None where there is none."""

    skipped: list[SkippedFile]
    """Images that could not be read, and why."""


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class Manifest(TrainingProcess):
    """Content of manifest.json: the process that started the run, its images, the processes that resumed it.

    The attributes are its keys, in this order. Indices are those of the training images. Values that
    convergan 0.1.0 did not write are None in its manifests.
    """

    recipe_sha256: str | None = None
    """Hash of recipe.yaml as it was when the run began."""

    seed: int
    """Seed of the run."""

    split_seed: int
    """Seed that decides which images are labelled, held out and in which fold."""

    epoch_order: str | None = None
    """Hash of the order in which epochs draw images; None in manifests without it."""

    data: ManifestData

    labelled: list[int]
    """Indices of the labelled images that are trained on."""

    labelled_of_class: list[int]
    """Number of these images in each class."""

    validation: list[int]
    """Indices of the labelled images that choose among epochs."""

    held_out: list[int]
    """Indices of the labelled images that are tested on."""

    folds_held_out: list[list[int]]
    """Indices of the labelled images that each fold is tested on."""

    unlabelled_size: Count | None = None
    """Number of training images whose label is unknown or not used."""

    folds: Count | None = None
    """Number of folds of the cross-validation."""

    trainings: Count | None = None
    """Number of trainings: of the folds, and of the result."""

    steps: Count | None = None
    """Number of steps of all trainings together."""

    step_seconds: dict[str, Seconds] | None = None
    """Seconds per step by the name of the arm, measured to plan the run and used to tell the remaining time.
    Empty where nothing was measured."""

    notes: list[str] = field(default_factory=list)
    """Notes on the reading of the images."""

    resumed: list[TrainingProcess]
    """Processes that resumed the run, in their order."""


_MANIFEST = TypeAdapter(Manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.json, of this version or an earlier one; keys that are unknown are ignored.

    Raises:
        UserError: the file is missing or damaged; the line names it, and the key whose value is missing or
            of another kind.
    """
    return read_json_as(path, _MANIFEST, "the manifest of a run")


def note_resumed(path: Path, process: TrainingProcess, recipe_sha256: str) -> None:
    """Add a process that resumes a run to its manifest, and the recipe's hash if it is missing.

    The rest of the file stays as it is, with keys of other versions.
    """
    values = read_json(path)
    values["recipe_sha256"] = recipe_sha256
    values["resumed"].append(json_values(process))
    write_json(path, values)
