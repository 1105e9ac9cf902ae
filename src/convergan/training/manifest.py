"""The manifest of a new run, and the check, on resuming, of what must be the same."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import torch

from convergan.data.batches import order_fingerprint
from convergan.distributed import ranks
from convergan.errors import UserError, shortened
from convergan.json_files import write_json
from convergan.recipes.files import recipe_sha256
from convergan.recipes.members import split_seed
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.runs.folder import RunFolder
from convergan.runs.manifest import (
    Manifest,
    ManifestData,
    SkippedFile,
    TrainingProcess,
    note_resumed,
)
from convergan.runs.provenance import command_line, device_name, git_commit, versions
from convergan.training.computation import precision_of_terms, resolved_precision
from convergan.training.preparation import Preparation
from convergan.training.summary import unlabelled_size
from convergan.training.trainings import trainings_of


def write_manifest(
    folder: RunFolder,
    preparation: Preparation,
    device: torch.device,
    step_seconds: Mapping[str, float] | None = None,
) -> None:
    """Write manifest.json or, if the run is resumed, add the new process to it and check that it can
    continue.

    Args:
        folder: folder of the run.
        preparation: images and recipe.
        device: device to train on.
        step_seconds: measured duration of a step, by the name of the arm, if the run has a plan.

    Raises:
        UserError: the images, their order, the kind of device, the precision or the number of processes are
            not those that the run was begun with, or the manifest is damaged.
    """
    process = _process(device, preparation)
    if folder.manifest.exists():
        _require_same(folder, folder.read_manifest(), preparation, process)
        note_resumed(folder.manifest, process, recipe_sha256(preparation.recipe))
        return
    write_json(folder.manifest, new_manifest(preparation, process, step_seconds))


def new_manifest(
    preparation: Preparation,
    process: TrainingProcess,
    step_seconds: Mapping[str, float] | None = None,
) -> Manifest:
    """The manifest of a run that a process begins."""
    data, split, recipe = preparation.data, preparation.split, preparation.recipe
    labels = split.training.labels
    folds, trainings = preparation.folds, trainings_of(preparation)
    held_out = split.held_out
    if len(folds) == 1:
        held_out, folds = folds[0].held_out, []
    _, height, width, channels = data.train.images.shape
    return Manifest(
        **vars(process),
        recipe_sha256=recipe_sha256(recipe),
        seed=recipe.seed,
        split_seed=split_seed(recipe),
        epoch_order=order_fingerprint(),
        data=ManifestData(
            source=data.source,
            fingerprint=data.fingerprint,
            classes=list(data.classes),
            image_shape=(height, width, channels),
            train_size=len(data.train),
            test_size=None if data.test is None else len(data.test),
            skipped=[SkippedFile(name=file.name, reason=file.reason) for file in data.skipped],
        ),
        labelled=split.training.labelled.tolist(),
        labelled_of_class=np.bincount(labels, minlength=len(data.classes)).tolist(),
        validation=split.training.validation.tolist(),
        held_out=held_out.tolist(),
        folds_held_out=[fold.held_out.tolist() for fold in folds],
        unlabelled_size=unlabelled_size(preparation),
        folds=len(folds),
        trainings=recipe.members * len(trainings),
        steps=recipe.members * sum(training.steps for training in trainings),
        step_seconds=dict(step_seconds or {}),
        notes=list(data.notes),
        resumed=[],
    )


def _process(device: torch.device, preparation: Preparation) -> TrainingProcess:
    recipe = preparation.recipe
    precision = resolved_precision(recipe.hardware, device, recipe.networks)
    return TrainingProcess(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(),
        accelerator=device.type,
        device=device_name(device),
        processes=ranks(),
        precision=precision,
        precision_of_terms=precision_of_terms(precision),
        versions=versions(),
        git_commit=git_commit(),
    )


def _require_same(
    folder: RunFolder, begun: Manifest, preparation: Preparation, process: TrainingProcess
) -> None:
    saved, data = begun.data.fingerprint, preparation.data
    if saved != data.fingerprint:
        raise UserError(
            f"{data.source}: expected the images that {folder.path} was begun with (fingerprint "
            f"{saved[:12]}), got others ({data.fingerprint[:12]})"
        )
    if begun.epoch_order != order_fingerprint():
        begun_by = ", ".join(
            f"{name} {begun.versions.get(name, 'of an unknown version')}"
            for name in ("convergan", "numpy")
        )
        if begun.git_commit is not None:
            begun_by += f", commit {begun.git_commit[:12]}"
        raise UserError(
            f"{folder.path}: expected a run whose epochs draw the images in the order of these versions, got"
            f" one begun by {shortened(begun_by)}; finish it with those, or train again"
        )
    # Each kind of device has its own random numbers, sums over another number of processes have other last
    # digits, and `auto` may choose another precision on another machine.
    for setting, was, now in (
        ("hardware.accelerator", begun.accelerator, process.accelerator),
        ("hardware.precision", begun.precision, process.precision),
        ("hardware.devices", begun.processes, process.processes),
    ):
        if was != now:
            previous, current = (FORMER_PRECISIONS.get(str(value), value) for value in (was, now))
            raise UserError(
                f"{setting}: expected {shortened(str(previous))} as when {folder.path} was begun,"
                f" got {current}"
            )
