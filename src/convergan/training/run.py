"""From a recipe to a finished run folder: data, folds, training, verdict, model, report."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeVar

import torch
from annotated_types import Interval
from rich.console import Console

from convergan.data.image_set import DataSet
from convergan.data.splits import Split
from convergan.distributed import rank, ranks
from convergan.errors import UserError, quoted
from convergan.files import make_folder
from convergan.networks.module import Factory, with_module
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar
from convergan.ranges import Checked
from convergan.recipes.files import recipe_sha256
from convergan.recipes.presets import as_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import sync_metrics
from convergan.runs.provenance import device_name, git_commit, versions
from convergan.runs.results import Results
from convergan.terminal import standard_console
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import computation_sentence, resolved_precision
from convergan.training.finish import write_end
from convergan.training.large_images import require_size
from convergan.training.launch import launched, on_every_rank, on_rank_zero
from convergan.training.loop import Fitted, fit
from convergan.training.manifest import write_manifest
from convergan.training.observer import Observer, Silent
from convergan.training.outcome import (
    Outcome,
    outcomes_on,
    tested,
)
from convergan.training.preparation import Preparation, prepare
from convergan.training.progress import RunProgress, print_verdict
from convergan.training.recorder import Recorder
from convergan.training.signals import (
    end_if_asked,
    stop_on_signals,
    terminated_by_signals,
)
from convergan.training.summary import (
    rehearsal_lines,
    steps_of_trainings,
    summary_lines,
)
from convergan.training.tensorboard import ScalarLogger, require_tensorboard
from convergan.training.trial import step_seconds
from convergan.training.verdict import verdict_sentence


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
    network: Factory | None = None,
    features: str | None = None,
    options: RunOptions | None = None,
    console: Console | None = None,
) -> Results:
    """Trains a recipe into the run folder `out`, and prints the verdict.

    Args:
        recipe: all settings, or the name of a preset: `digits` for `PRESETS["digits"]`.
        out: the run folder; new or empty, or with `options.resume` a run of this very recipe.
        data: images from Python (`data_set_from_arrays`) in place of those that `recipe.data` names.
        network: what makes a discriminator of your own in place of the recipe's, an `nn.Module` from images
            [batch, channels, height, width], floats from -1 to 1, to logits [batch, classes]: a class or a
            function, called without arguments or, if it wants them, with the images' shape (channels,
            height, width) and the number of classes. Baseline and arms have it too. Its batch
            normalizations have the statistics of each group of images apart (`GroupedBatchNorm`).
        features: with `network`, the name of the layer whose outputs feature matching compares; default:
            what its last linear layer takes. Maps are averaged over their positions.
        options: how the run is kept.
        console: where progress and verdict are shown; default: the terminal.

    Returns:
        What the run came to, which results.json holds as well.

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
    request = _Request(recipe, data, options, console, network, features)
    folder = RunFolder(as_path(out, "out"))
    return _launched(lambda device: _train(device, folder, request), request.recipe)


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
    _launched(lambda device: _rehearse(device, request), request.recipe)


ResultT = TypeVar("ResultT")


class _Request:
    """The arguments of `train`, with defaults filled in."""

    def __init__(
        self,
        recipe: Recipe | str,
        data: DataSet | None,
        options: RunOptions | None,
        console: Console | None,
        network: Factory | None = None,
        features: str | None = None,
    ) -> None:
        if not isinstance(data, DataSet | None):
            raise UserError(
                f"data: expected what data_set_from_arrays gives, got {type(data).__name__}"
            )
        for name, given, kind in (("options", options, RunOptions), ("console", console, Console)):
            if not isinstance(given, kind | None):
                raise UserError(f"{name}: expected {kind.__name__} or nothing, got {quoted(given)}")
        self.recipe, self.data = with_module(as_recipe(recipe), network, features), data
        self.options, self.console = options or RunOptions(), console or standard_console()


def _launched(task: Callable[[torch.device], ResultT], recipe: Recipe) -> ResultT:
    """Runs a task on the recipe's hardware, with its number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.hardware.threads or threads)
    try:
        with terminated_by_signals(), launched(recipe.hardware) as device:
            return task(device)
    finally:
        torch.set_num_threads(threads)


def _prepared(device: torch.device, request: _Request, *, finished: bool = False) -> Preparation:
    """Checks all that can be checked without images, then prepares the training with them."""

    def check() -> None:
        if request.options.logger == "tensorboard":
            require_tensorboard()

    def prepared() -> Preparation:
        with progress_bar(
            "reading the images", console=request.console, quiet=rank() != 0
        ) as progress:
            return prepare(
                request.recipe,
                request.data,
                processes=ranks(),
                device=device,
                progress=progress,
                found=lambda named, source: require_size(device, named, source),
                finished=finished,
            )

    on_rank_zero(check)
    # Rank 0 decodes images that are not decoded yet, and reports on them; then the other ranks read the same
    # store.
    rank_zero_result: list[Preparation] = []
    on_rank_zero(lambda: rank_zero_result.append(prepared()))
    preparation = on_every_rank(lambda: rank_zero_result[0] if rank_zero_result else prepared())
    end_if_asked()
    return preparation


def _say_what_was_read(device: torch.device, preparation: Preparation, console: Console) -> None:
    if rank() != 0:
        return
    recipe = preparation.recipe
    computation = computation_sentence(
        recipe.hardware, device, recipe.networks, with_baseline=recipe.baseline
    )
    for line in (*summary_lines(preparation), computation):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _train(device: torch.device, folder: RunFolder, request: _Request) -> Results:
    options, console = request.options, request.console
    with ExitStack() as stack:
        on_rank_zero(lambda: stack.enter_context(claimed(folder, resume=options.resume)))
        finished = folder.results.exists()
        preparation = _prepared(device, request, finished=finished)
        on_rank_zero(lambda: _begin(folder, preparation, device, options))
        results = on_every_rank(folder.read_results)
        if results is None:
            _say_what_was_read(device, preparation, console)
            run = _Run(device, folder, preparation, options, console)
            results = run.train()
    if rank() == 0:
        print_verdict(console, results, verdict_sentence(results), str(folder.report))
    return results


def _rehearse(device: torch.device, request: _Request) -> None:
    console = request.console
    preparation = _prepared(device, request)
    _say_what_was_read(device, preparation, console)
    seconds = step_seconds(device, preparation.recipe, preparation.split.training)
    if rank() == 0:
        for line in rehearsal_lines(preparation, seconds, device, ranks()):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _begin(
    folder: RunFolder, preparation: Preparation, device: torch.device, options: RunOptions
) -> None:
    folder.begin(preparation.recipe, resume=options.resume)
    if not folder.results.exists():
        write_manifest(folder, preparation, device)


class _Run:
    """One run from its splits to its report."""

    def __init__(
        self,
        device: torch.device,
        folder: RunFolder,
        preparation: Preparation,
        options: RunOptions,
        console: Console,
    ) -> None:
        self.device, self.folder, self.options = device, folder, options
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

    def train(self) -> Results:
        """Trains the folds, if any, then the model that stays; writes everything but the checkpoints."""
        recipe, split, folds = self.recipe, self.split, self.folds
        train_seconds = 0.0
        outcomes: list[Outcome] = []
        with stop_on_signals() as stop_requested:
            for number, fold in enumerate(folds):
                part = self.folder.fold(number + 1)
                on_rank_zero(partial(make_folder, part.path))
                fitted = self._fit(part, fold, number, stop_requested)
                train_seconds += fitted.train_seconds
                outcomes += outcomes_on(fold.test, fitted, self.device, self.resident_bytes)
            fitted = self._fit(self.folder, split, len(folds), stop_requested)
            train_seconds += fitted.train_seconds
        outcomes += outcomes_on(split.test, fitted, self.device, self.resident_bytes)
        untested = Results(
            recipe=recipe.name,
            labels=len(split.training.labelled) + len(split.training.validation),
            seed=recipe.seed,
            epochs=recipe.epochs,
            epoch_chosen=fitted.epoch,
            train_seconds=train_seconds,
            seconds_per_epoch=fitted.train_seconds / recipe.epochs,
            device=device_name(self.device),
            precision=resolved_precision(recipe.hardware, self.device, recipe.networks),
            versions=versions(),
            git_commit=self.git_commit,
        )
        results = tested(untested, outcomes, len(folds))
        on_rank_zero(
            lambda: write_end(
                self.folder,
                self.preparation,
                fitted,
                results,
                outcomes,
                device=self.device,
                origin=self.origin,
            ),
        )
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
                self.device,
                recipe,
                split.training,
                checkpoints=folder.checkpoints,
                observer=observer,
                options=options,
            )

        if rank() != 0:
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
                    device=self.device,
                    resident_bytes=self.resident_bytes,
                    progress=progress,
                    logger=logger,
                )
            )
