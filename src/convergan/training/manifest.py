"""manifest.json: which images, seeds, versions and devices a run's result came from."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from convergan.distributed import ranks
from convergan.errors import UserError, shortened
from convergan.recipes.files import recipe_sha256
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.runs.folder import RunFolder, write_json
from convergan.runs.provenance import command_line, device_name, git_commit, versions
from convergan.training.computation import precision_of_terms, resolved_precision
from convergan.training.preparation import Preparation, split_seed
from convergan.training.summary import data_facts


def write_manifest(folder: RunFolder, preparation: Preparation, device: torch.device) -> None:
    """Writes manifest.json; on resume, notes the new process and checks that it can go on.

    Raises:
        UserError: the images, the kind of device or the number of processes are not those that the run was
            begun with, or the manifest is damaged.
    """
    process = _process(device, preparation)
    if folder.manifest.exists():
        manifest = folder.read_manifest()
        _require_same(folder, manifest, preparation, process)
        # One of convergan 0.1.0 has none yet.
        manifest["recipe_sha256"] = recipe_sha256(preparation.recipe)
        manifest["resumed"].append(process)
        write_json(folder.manifest, manifest)
        return
    data, split, recipe = preparation.data, preparation.split, preparation.recipe
    labels = split.training.labels
    write_json(
        folder.manifest,
        {
            **process,
            "recipe_sha256": recipe_sha256(recipe),
            "seed": recipe.seed,
            "split_seed": split_seed(recipe),
            "data": {
                "source": data.source,
                "fingerprint": data.fingerprint,
                "classes": list(data.classes),
                "image_shape": list(data.train.images.shape[1:]),
                "train_size": len(data.train),
                "test_size": None if data.test is None else len(data.test),
                "skipped": [{"name": image.name, "reason": image.reason} for image in data.skipped],
            },
            "labelled": split.training.labelled.tolist(),
            "labelled_of_class": np.bincount(labels, minlength=len(data.classes)).tolist(),
            "validation": split.training.validation.tolist(),
            "held_out": split.held_out.tolist(),
            "folds_held_out": [fold.held_out.tolist() for fold in preparation.folds],
            **data_facts(preparation),
            "resumed": [],
        },
    )


def _process(device: torch.device, preparation: Preparation) -> dict[str, Any]:
    precision = resolved_precision(preparation.recipe.hardware, device)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "accelerator": device.type,
        "device": device_name(device),
        "processes": ranks(),
        "precision": precision,
        "precision_of_terms": precision_of_terms(precision),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _require_same(
    folder: RunFolder, manifest: dict[str, Any], preparation: Preparation, process: dict[str, Any]
) -> None:
    saved = manifest["data"]["fingerprint"]
    data = preparation.data
    if saved != data.fingerprint:
        raise UserError(
            f"{data.source}: expected the images that {folder.path} was begun with (fingerprint "
            f"{saved[:12]}), got others ({data.fingerprint[:12]})"
        )
    # The streams of random numbers are those of one kind of device and of so many processes, and `auto`
    # may choose another precision on another machine.
    for name, setting in (
        ("accelerator", "hardware.accelerator"),
        ("precision", "hardware.precision"),
        ("processes", "hardware.devices"),
    ):
        if manifest[name] != process[name]:
            begun, current = (
                FORMER_PRECISIONS.get(facts[name], facts[name]) for facts in (manifest, process)
            )
            raise UserError(
                f"{setting}: expected {shortened(str(begun))} as when {folder.path} was begun, got {current}"
            )
