"""From a recipe to a finished run folder: data, folds, training, verdict, model, report."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from annotated_types import Interval
from lightning_fabric import Fabric
from rich.console import Console

from convergan.data.batches import to_uint8
from convergan.data.image_set import DataSet
from convergan.data.splits import Split
from convergan.errors import UserError
from convergan.files import make_folder
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar
from convergan.ranges import Checked
from convergan.recipes.files import recipe_sha256, recipe_to_dict
from convergan.recipes.presets import as_recipe
from convergan.recipes.settings import Recipe
from convergan.report.inputs import ReportInputs
from convergan.report.page import write_report
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder, write_json
from convergan.runs.metrics import read_metrics, sync_metrics
from convergan.runs.model import ModelConfig, save_model
from convergan.runs.provenance import device_name, git_commit, versions
from convergan.terminal import standard_console
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import computation_sentence, resolved_precision
from convergan.training.health import can_be_judged
from convergan.training.large_images import require_size
from convergan.training.launch import RankFailed, launched, on_every_rank, on_rank_zero
from convergan.training.loop import Fitted, fit
from convergan.training.manifest import write_manifest
from convergan.training.observer import Observer, Silent
from convergan.training.outcome import (
    Outcome,
    extremes,
    outcomes_on,
    test_results,
    worth_labelling,
)
from convergan.training.preparation import Preparation, image_shape, prepare
from convergan.training.progress import RunProgress, print_verdict
from convergan.training.recorder import Recorder
from convergan.training.samples import fixed_samples
from convergan.training.signals import end_if_asked, stop_on_signals, terminated_by_signals
from convergan.training.summary import (
    data_rows,
    rehearsal_lines,
    steps_of_trainings,
    summary_lines,
)
from convergan.training.tensorboard import ScalarLogger, require_tensorboard
from convergan.training.trial import step_seconds
from convergan.training.verdict import verdict_sentence

REPORT_IMAGES = 64
"""Samples, and images of the data beside them, in the report."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(Checked):
    """How a run is kept and watched; nothing here changes what it computes."""

    resume: bool = False
    """Continue the run that is in the folder; start it where there is none."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Time between checkpoints."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """On a loss that is not finite: stop; or go back to the last checkpoint and halve the learning
    rate, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Where each epoch's numbers go beside metrics.jsonl."""


def train(
    recipe: Recipe | str,
    out: StrPath,
    *,
    data: DataSet | None = None,
    options: RunOptions | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Trains a recipe into the run folder `out`, and prints the verdict.

    Args:
        recipe: all settings, or the name of a preset: `digits` for `PRESETS["digits"]`.
        out: the run folder; new or empty, or with `options.resume` a run of this very recipe.
        data: images from Python (`data_set_from_arrays`) in place of those that `recipe.data` names.
        options: how the run is kept.
        console: where progress and verdict are shown; default: the terminal.

    Returns:
        What results.json holds.

    Raises:
        UserError: a setting, an image or a label does not fit, or training diverged.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; a checkpoint has been written.
        Terminated: SIGTERM or SIGHUP came before the training began, after its end, or twice.

    Example:
        >>> from dataclasses import replace
        >>> from convergan import PRESETS, train
        >>> results = train(replace(PRESETS["digits"], epochs=5), "runs/digits")  # doctest: +ELLIPSIS
        10 classes: ...
    """
    request = _Request(recipe, data, options, console)
    folder = RunFolder(as_path(out, "out"))
    return _launched(lambda fabric: _train(fabric, folder, request), request.recipe)


def rehearse(
    recipe: Recipe | str,
    *,
    data: DataSet | None = None,
    options: RunOptions | None = None,
    console: Console | None = None,
) -> None:
    """Does everything that `train` does before it trains, and prints the cost of training.

    The images are decoded into the cache, a few steps are timed, and nothing else is left behind. Arguments
    and errors are those of `train`.
    """
    request = _Request(recipe, data, options, console)
    _launched(lambda fabric: _rehearse(fabric, request), request.recipe)


ResultT = TypeVar("ResultT")


class _Request:
    """The arguments of `train`, with defaults filled in."""

    def __init__(
        self,
        recipe: Recipe | str,
        data: DataSet | None,
        options: RunOptions | None,
        console: Console | None,
    ) -> None:
        if not isinstance(data, DataSet | None):
            raise UserError(
                f"data: expected what data_set_from_arrays gives, got {type(data).__name__}"
            )
        self.recipe, self.data = as_recipe(recipe), data
        self.options, self.console = options or RunOptions(), console or standard_console()


def _launched(task: Callable[[Fabric], ResultT], recipe: Recipe) -> ResultT:
    """Runs a task on the recipe's hardware, with its number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.hardware.threads or threads)
    rank_zero_prints = False
    try:
        with terminated_by_signals(), launched(recipe.hardware) as fabric:
            rank_zero_prints = not fabric.is_global_zero
            return task(fabric)
    except (UserError, RankFailed):
        if rank_zero_prints:
            # Rank 0 prints the error.
            raise SystemExit(1) from None
        raise
    finally:
        torch.set_num_threads(threads)


def _prepared(fabric: Fabric, request: _Request, *, finished: bool = False) -> Preparation:
    """Checks all that can be checked without images, then prepares the training with them."""

    def check() -> None:
        if request.options.logger == "tensorboard":
            require_tensorboard()

    def prepared() -> Preparation:
        with progress_bar(
            "reading the images", console=request.console, quiet=not fabric.is_global_zero
        ) as progress:
            return prepare(
                request.recipe,
                request.data,
                processes=fabric.world_size,
                device=fabric.device,
                progress=progress,
                found=lambda named, source: require_size(fabric, named, source),
                finished=finished,
            )

    on_rank_zero(fabric, check)
    # Rank 0 decodes images that are not decoded yet, and reports on them; then the other ranks read the same
    # store.
    rank_zero_result: list[Preparation] = []
    on_rank_zero(fabric, lambda: rank_zero_result.append(prepared()))
    preparation = on_every_rank(
        fabric, lambda: rank_zero_result[0] if rank_zero_result else prepared()
    )
    end_if_asked()
    return preparation


def _say_what_was_read(fabric: Fabric, preparation: Preparation, console: Console) -> None:
    if not fabric.is_global_zero:
        return
    recipe = preparation.recipe
    computation = computation_sentence(
        recipe.hardware, fabric.device, with_baseline=recipe.baseline
    )
    for line in (*summary_lines(preparation), computation):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _train(fabric: Fabric, folder: RunFolder, request: _Request) -> dict[str, Any]:
    options, console = request.options, request.console
    with ExitStack() as stack:
        on_rank_zero(fabric, lambda: stack.enter_context(claimed(folder, resume=options.resume)))
        finished = folder.results.exists()
        preparation = _prepared(fabric, request, finished=finished)
        on_rank_zero(fabric, lambda: _begin(folder, preparation, fabric, options))
        results = on_every_rank(fabric, folder.read_results)
        if results is None:
            _say_what_was_read(fabric, preparation, console)
            run = _Run(fabric, folder, preparation, options, console)
            results = run.train()
    if fabric.is_global_zero:
        print_verdict(console, results, verdict_sentence(results), str(folder.report))
    return results


def _rehearse(fabric: Fabric, request: _Request) -> None:
    console = request.console
    preparation = _prepared(fabric, request)
    _say_what_was_read(fabric, preparation, console)
    seconds = step_seconds(fabric, preparation.recipe, preparation.split.training)
    if fabric.is_global_zero:
        for line in rehearsal_lines(preparation, seconds, fabric.device, fabric.world_size):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _begin(
    folder: RunFolder, preparation: Preparation, fabric: Fabric, options: RunOptions
) -> None:
    folder.begin(preparation.recipe, resume=options.resume)
    if not folder.results.exists():
        write_manifest(folder, preparation, fabric)


class _Run:
    """One run from its splits to its report."""

    def __init__(
        self,
        fabric: Fabric,
        folder: RunFolder,
        preparation: Preparation,
        options: RunOptions,
        console: Console,
    ) -> None:
        self.fabric, self.folder, self.options = fabric, folder, options
        self.preparation = preparation
        self.recipe, self.data = preparation.recipe, preparation.data
        self.split, self.folds = preparation.split, preparation.folds
        self.origin = {
            "recipe": recipe_sha256(self.recipe),
            "data set": self.data.fingerprint,
        }
        self.resident_bytes = self.recipe.data.resident_bytes
        # Of the code that runs, whatever is committed before it ends.
        self.git_commit = git_commit()
        self.progress = RunProgress(console, self.recipe.epochs, steps_of_trainings(preparation))

    def train(self) -> dict[str, Any]:
        """Trains the folds, if any, then the model that stays; writes everything but the checkpoints."""
        recipe, split, folds = self.recipe, self.split, self.folds
        train_seconds = 0.0
        outcomes: list[Outcome] = []
        with stop_on_signals() as stop_requested:
            for number, fold in enumerate(folds):
                part = self.folder.fold(number + 1)
                on_rank_zero(self.fabric, partial(make_folder, part.path))
                fitted = self._fit(part, fold, number, stop_requested)
                train_seconds += fitted.train_seconds
                outcomes += outcomes_on(fold.test, fitted, self.fabric.device, self.resident_bytes)
            fitted = self._fit(self.folder, split, len(folds), stop_requested)
            train_seconds += fitted.train_seconds
        outcomes += outcomes_on(split.test, fitted, self.fabric.device, self.resident_bytes)
        labels = len(split.training.labelled) + len(split.training.validation)
        results = {
            "recipe": recipe.name,
            "labels": labels,
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "epoch_chosen": fitted.epoch,
            **test_results(outcomes, len(folds)),
            "train_seconds": train_seconds,
            "seconds_per_epoch": fitted.train_seconds / recipe.epochs,
            "device": device_name(self.fabric.device),
            "precision": resolved_precision(recipe.hardware, self.fabric.device),
            "versions": versions(),
            "git_commit": self.git_commit,
        }
        on_rank_zero(self.fabric, lambda: self._write(fitted, results, outcomes))
        return results

    def _fit(
        self, folder: RunFolder, split: Split, number: int, stop_requested: Callable[[], bool]
    ) -> Fitted:
        recipe = self.recipe
        options = LoopOptions(
            checkpoint_every_seconds=self.options.checkpoint_every_seconds,
            roll_back=self.options.on_divergence == "rollback",
            stop_requested=stop_requested,
            origin={**self.origin, "fold": "" if folder is self.folder else folder.path.name},
            before_checkpoint=lambda: sync_metrics(folder.metrics),
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
            logger = ScalarLogger(folder.tensorboard)
        with self.progress.training(number) as progress:
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

    def _metrics(self) -> list[dict[str, Any]]:
        """The epochs of the result; with folds, the errors of all of them together."""
        lines = read_metrics(self.folder.metrics)
        folds = [
            {line["epoch"]: line for line in read_metrics(self.folder.fold(number + 1).metrics)}
            for number in range(len(self.folds))
        ]
        for line in lines:
            of_folds = [fold.get(line["epoch"], {}) for fold in folds]
            for key in ("test_errors", "raw_test_errors", "baseline_test_errors", "test_size"):
                if of_folds and all(key in of_fold for of_fold in of_folds):
                    line[key] = sum(of_fold[key] for of_fold in of_folds)
        return lines

    def _write(self, fitted: Fitted, results: dict[str, Any], outcomes: list[Outcome]) -> None:
        """Writes the model, the report, and last, as the mark of a finished run, results.json."""
        recipe, data, folder = self.recipe, self.data, self.folder
        config = ModelConfig(
            networks=recipe.networks,
            image_shape=image_shape(data),
            classes=data.classes,
            resized=recipe.data.size_px is not None,
        )
        save_model(folder, config, fitted.discriminator, fitted.generator, self.origin)
        epochs = self._metrics()
        samples = fixed_samples(fitted.generator, REPORT_IMAGES, recipe.seed)
        shown = np.random.default_rng(recipe.seed).permutation(len(data.train.images))
        certain, uncertain = extremes(outcomes, data.classes)
        labelling, labelling_note = worth_labelling(data, fitted, self.fabric.device, recipe.seed)
        labels = f", {results['labels']:,} labels" if data.classes else ""
        write_report(
            folder.report,
            ReportInputs(
                title=f"{recipe.name}{labels}, seed {recipe.seed}",
                verdict=verdict_sentence(results),
                results=results if outcomes else None,
                epochs=epochs,
                recipe=recipe_to_dict(recipe),
                manifest=folder.read_manifest(),
                warnings=[warning for line in epochs for warning in line.get("warnings", ())],
                classes=list(data.classes),
                confusion=np.sum([o.confusion for o in outcomes], axis=0) if outcomes else None,
                real_images=data.train.images[np.sort(shown[:REPORT_IMAGES])],
                generated_images=to_uint8(samples, fitted.generator.pixel_range).cpu().numpy(),
                most_certain=certain,
                least_certain=uncertain,
                worth_labelling=labelling,
                worth_labelling_note=labelling_note,
                data=data_rows(self.preparation),
                judged=can_be_judged(recipe.epochs),
            ),
        )
        write_json(folder.results, results)
