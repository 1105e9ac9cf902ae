"""From a recipe to a finished run folder: data, folds, training, verdict, model, report."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning_fabric import Fabric
from rich.console import Console

from convergan.data.batches import to_uint8
from convergan.data.image_set import UNLABELLED, DataSet
from convergan.data.source import open_data_set
from convergan.data.splits import Split, draw_folds, draw_split, number_of_folds
from convergan.errors import UserError
from convergan.recipes.files import recipe_to_dict
from convergan.recipes.settings import Recipe
from convergan.report.inputs import ReportInputs
from convergan.report.page import write_report
from convergan.runs.folder import RunFolder, read_json, write_json
from convergan.runs.metrics import read_metrics
from convergan.runs.model import ModelConfig, save_model
from convergan.training.launch import launch
from convergan.training.loop import Fitted, LoopOptions, fit
from convergan.training.observer import Observer, Silent
from convergan.training.outcome import Outcome, extremes, test, test_results
from convergan.training.progress import Progress, print_verdict
from convergan.training.provenance import command_line, device_name, git_commit, versions
from convergan.training.recorder import Recorder
from convergan.training.samples import fixed_samples
from convergan.training.signals import stop_on_signals
from convergan.training.tensorboard import ScalarLogger
from convergan.training.verdict import verdict_sentence

REPORT_IMAGES = 64
"""Samples, and images of the data beside them, in the report."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is kept and watched; nothing here changes what it computes."""

    resume: bool = False
    """Continue the run that is in the folder; start it where there is none."""

    checkpoint_every_seconds: float = 30.0
    """Time between checkpoints."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """On a loss that is not finite: stop; or go back to the last checkpoint and halve the learning
    rate, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Where each epoch's numbers go beside metrics.jsonl."""


def train(
    recipe: Recipe,
    out: Path,
    *,
    data: DataSet | None = None,
    options: RunOptions | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Trains a recipe into the run folder `out`, and prints the verdict.

    Args:
        recipe: all settings.
        out: the run folder; new or empty, or with `options.resume` a run of this very recipe.
        data: images from Python (`data_set_from_arrays`) in place of those that `recipe.data` names.
        options: how the run is kept.
        console: where progress and verdict are shown; default: the terminal.

    Returns:
        What results.json holds.

    Raises:
        UserError: a setting, an image or a label does not fit, or training diverged.
        Interrupted: SIGINT or SIGTERM came; a checkpoint has been written.
    """
    options = options or RunOptions()
    console = console or Console()
    fabric = launch(recipe.hardware)
    if data is None:
        with fabric.rank_zero_first(), console.status("reading the images") as status:
            data = open_data_set(
                recipe.data,
                progress=lambda done, of: status.update(f"reading the images: {done:,} of {of:,}"),
            )
    recipe, data = _fitted_to_data(recipe, data)
    # Before anything is written: here the labels that a user asks for may turn out not to be there.
    split, folds = _splits(recipe, data)
    folder = RunFolder(out)
    if fabric.is_global_zero:
        folder.begin(recipe, resume=options.resume)
    fabric.barrier()
    results = folder.read_results()
    if results is None:
        results = _Run(fabric, recipe, folder, data, options, console).train(split, folds)
    if fabric.is_global_zero:
        print_verdict(console, results, verdict_sentence(results), str(folder.report))
    return results


class _Run:
    """One run from its splits to its report."""

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        folder: RunFolder,
        data: DataSet,
        options: RunOptions,
        console: Console,
    ) -> None:
        self.fabric, self.recipe, self.folder = fabric, recipe, folder
        self.data, self.options, self.console = data, options, console
        self.resident_bytes = recipe.data.resident_bytes

    def train(self, split: Split, folds: list[Split]) -> dict[str, Any]:
        """Trains the folds, if any, then the model that stays; writes everything but the checkpoints."""
        recipe = self.recipe
        self._write_manifest(split, folds)
        outcomes: list[Outcome] = []
        with stop_on_signals() as stop_requested:
            for number, fold in enumerate(folds):
                part = RunFolder(self.folder.folds / str(number + 1))
                part.path.mkdir(parents=True, exist_ok=True)
                title = f"fold {number + 1} of {len(folds)}: epoch"
                fitted = self._fit(part, fold, title, stop_requested)
                outcomes += test(fold.test, fitted, self.fabric.device, self.resident_bytes)
            fitted = self._fit(self.folder, split, "epoch", stop_requested)
        outcomes += test(split.test, fitted, self.fabric.device, self.resident_bytes)
        labels = len(split.training.labelled) + len(split.training.validation)
        results = {
            "recipe": recipe.name,
            "labels": labels,
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "epoch_chosen": fitted.epoch,
            **test_results(outcomes, len(folds)),
            "train_seconds": fitted.train_seconds,
            "seconds_per_epoch": fitted.train_seconds / recipe.epochs,
            "device": device_name(self.fabric.device),
            "precision": recipe.hardware.precision,
            "versions": versions(),
            "git_commit": git_commit(),
        }
        if self.fabric.is_global_zero:
            self._write(fitted, results, outcomes)
        self.fabric.barrier()
        return results

    def _fit(
        self, folder: RunFolder, split: Split, title: str, stop_requested: Callable[[], bool]
    ) -> Fitted:
        recipe = self.recipe
        options = LoopOptions(
            checkpoint_every_seconds=self.options.checkpoint_every_seconds,
            roll_back=self.options.on_divergence == "rollback",
            stop_requested=stop_requested,
        )

        def fit_with(observer: Observer) -> Fitted:
            return fit(
                self.fabric,
                recipe,
                split.training,
                checkpoints=folder.checkpoints,
                observer=observer,
                options=options,
            )

        if not self.fabric.is_global_zero:
            return fit_with(Silent())
        logger = None
        if self.options.logger == "tensorboard":
            logger = ScalarLogger(folder.path / "tensorboard")
        with Progress(self.console, recipe.epochs, title=title) as progress:
            return fit_with(
                Recorder(
                    folder,
                    test=split.test,
                    epochs=recipe.epochs,
                    seed=recipe.seed,
                    device=self.fabric.device,
                    resident_bytes=self.resident_bytes,
                    progress=progress,
                    logger=logger,
                )
            )

    def _write_manifest(self, split: Split, folds: list[Split]) -> None:
        """Writes manifest.json; on resume, checks that the images are those of the first start."""
        if not self.fabric.is_global_zero:
            return
        data, path = self.data, self.folder.manifest
        if path.exists():
            saved = read_json(path)["data"]["fingerprint"]
            if saved != data.fingerprint:
                raise UserError(
                    f"{data.source}: expected the images that {self.folder.path} was begun with "
                    f"(fingerprint {saved[:12]}), got others ({data.fingerprint[:12]})"
                )
            return
        labelled_of_class = np.bincount(split.training.labels, minlength=len(data.classes)).tolist()
        write_json(
            path,
            {
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": command_line(),
                "seed": self.recipe.seed,
                "split_seed": _split_seed(self.recipe),
                "device": device_name(self.fabric.device),
                "processes": self.fabric.world_size,
                "precision": self.recipe.hardware.precision,
                "versions": versions(),
                "git_commit": git_commit(),
                "data": {
                    "source": data.source,
                    "fingerprint": data.fingerprint,
                    "classes": list(data.classes),
                    "image_shape": list(data.train.images.shape[1:]),
                    "train_size": len(data.train.images),
                    "test_size": None if data.test is None else len(data.test.images),
                    "skipped": [
                        {"name": image.name, "reason": image.reason} for image in data.skipped
                    ],
                },
                "labelled": split.training.labelled.tolist(),
                "labelled_of_class": labelled_of_class,
                "validation": split.training.validation.tolist(),
                "held_out": split.held_out.tolist(),
                "folds_held_out": [fold.held_out.tolist() for fold in folds],
            },
        )

    def _write(self, fitted: Fitted, results: dict[str, Any], outcomes: list[Outcome]) -> None:
        """Writes the model, the report, and last, as the mark of a finished run, results.json."""
        recipe, data, folder = self.recipe, self.data, self.folder
        _, height, width, channels = data.train.images.shape
        config = ModelConfig(
            networks=recipe.networks,
            image_shape=(channels, height, width),
            classes=data.classes,
            resized=recipe.data.size_px is not None,
        )
        save_model(folder, config, fitted.discriminator, fitted.generator)
        epochs = read_metrics(folder.metrics)
        samples = fixed_samples(fitted.generator, REPORT_IMAGES, recipe.seed)
        shown = np.random.default_rng(recipe.seed).permutation(len(data.train.images))
        certain, uncertain = extremes(outcomes, data.classes)
        labels = f", {results['labels']:,} labels" if data.classes else ""
        write_report(
            folder.report,
            ReportInputs(
                title=f"{recipe.name}{labels}, seed {recipe.seed}",
                verdict=verdict_sentence(results),
                results=results if outcomes else None,
                epochs=epochs,
                recipe=recipe_to_dict(recipe),
                manifest=read_json(folder.manifest),
                warnings=[warning for line in epochs for warning in line["warnings"]],
                classes=list(data.classes),
                confusion=np.sum([o.confusion for o in outcomes], axis=0) if outcomes else None,
                real_images=data.train.images[np.sort(shown[:REPORT_IMAGES])],
                generated_images=to_uint8(samples, fitted.generator.pixel_range).cpu().numpy(),
                most_certain=certain,
                least_certain=uncertain,
            ),
        )
        write_json(folder.results, results)


def _split_seed(recipe: Recipe) -> int:
    return recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed


def _splits(recipe: Recipe, data: DataSet) -> tuple[Split, list[Split]]:
    """The split to train the result on, and those of the folds, if the labels are cross-validated."""
    settings, labels, seed = recipe.data, recipe.labels, _split_seed(recipe)
    validation_share = settings.validation_share
    folds = number_of_folds(settings, data, labels)
    split = draw_split(
        data,
        labels=labels,
        seed=seed,
        validation_share=validation_share,
        test_share=None if folds else settings.test_share,
    )
    if not folds:
        return split, []
    return split, draw_folds(
        data, labels=labels, seed=seed, folds=folds, validation_share=validation_share
    )


def _fitted_to_data(recipe: Recipe, data: DataSet) -> tuple[Recipe, DataSet]:
    """The recipe as these images allow it, and the images as it uses them.

    Without labels there is nothing to classify; and where nothing is to be classified, labels are not used.
    """
    binary = recipe.objective.discriminator == "binary"
    if data.classes and not binary:
        return recipe, data
    if recipe.labels is not None and not data.classes:
        raise UserError(
            f"labels: expected none, as no image of {data.source} is labelled, got {recipe.labels}"
        )
    objective = replace(recipe.objective, discriminator="binary")
    recipe = replace(recipe, objective=objective, baseline=False, labels=None)
    unlabelled = np.full(len(data.train), UNLABELLED)
    train = replace(data.train, labels=unlabelled)
    return recipe, replace(data, train=train, test=None, classes=())
