"""Runs: from a recipe to a finished run folder with data, folds, training, verdict, model and report."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

import torch
from rich.console import Console

from convergan.data.image_set import DataSet
from convergan.distributed import broadcast_object, rank, ranks
from convergan.errors import UserError, quoted
from convergan.networks.module import Factory, with_module
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar
from convergan.recipes.arms import has_arms, with_plan_of
from convergan.recipes.files import read_recipe
from convergan.recipes.members import is_ensemble
from convergan.recipes.presets import as_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.runs.results import Results
from convergan.terminal import standard_console
from convergan.training.computation import computation_sentence
from convergan.training.large_images import require_size
from convergan.training.launch import (
    from_rank_zero,
    launched,
    on_every_rank,
    on_rank_zero,
    wait_less,
)
from convergan.training.options import RunOptions as RunOptions
from convergan.training.planning import planned
from convergan.training.preparation import Preparation, prepare, require_same_images
from convergan.training.progress import RunProgress, print_verdict
from convergan.training.run_models import begin, origin_of, run_members, run_single
from convergan.training.signals import end_if_asked, terminated_by_signals
from convergan.training.summary import dry_run_lines, summary_lines
from convergan.training.tensorboard import require_tensorboard
from convergan.training.trainer import Trainer, progress_entry
from convergan.training.trainings import players_of, step_costs_of, trainings_of
from convergan.training.trial import step_seconds
from convergan.training.verdict import verdict_sentence


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
    """Train a recipe into the run folder `out`, and print the verdict.

    Args:
        recipe: all settings, or the name of a preset: `digits` for `PRESETS["digits"]`. With `members` above
            1, an ensemble is trained, whose members have run folders of their own in `out`.
        out: the run folder; new or empty, or with `options.resume` a run of the same recipe.
        data: images from Python (`data_set_from_arrays`) in place of those that `recipe.data` names.
        network: class or function that makes a discriminator of your own in place of the recipe's. It is
            called without arguments or, if it takes two, with the shape of the images (channels, height,
            width) and the number of classes. It returns an `nn.Module` from images [batch, channels, height,
            width], floats from -1 to 1, to logits [batch, classes]. Baseline and arms use it too. Its batch
            normalizations compute the statistics of each group of images separately (`GroupedBatchNorm`).
        features: with `network`, name of the layer whose outputs feature matching compares; default: the
            input of the last linear layer. Feature maps are averaged over their positions.
        options: options of resuming, checkpoints, divergence and logging.
        console: console for progress and verdict; default: the terminal.

    Returns:
        The results of the run, as in results.json.

    Raises:
        UserError: a setting, an image or a label does not fit, or training diverged.
        Interrupted: SIGINT, SIGTERM or SIGHUP was received; a checkpoint has been written.
        Terminated: SIGTERM or SIGHUP was received before the training began, after its end, or twice.

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
    network: Factory | None = None,
    features: str | None = None,
    options: RunOptions | None = None,
    console: Console | None = None,
) -> None:
    """Prepare a training as `train` does, and print the memory and the time that it would need: a dry run.

    The images are decoded into the cache and a few steps are timed. Nothing is trained or written otherwise.

    Args:
        recipe, data, network, features, options, console: as in `train`.

    Raises:
        UserError: as in `train`, before the training begins.

    Example:
        >>> from convergan import rehearse
        >>> rehearse("digits")  # doctest: +ELLIPSIS
        10 classes: ...
    """
    request = _Request(recipe, data, options, console, network, features)
    _launched(lambda device: _dry_run(device, request), request.recipe)


ResultT = TypeVar("ResultT")


class _Request:
    """The arguments of `train`, with defaults filled in."""

    def __init__(
        self,
        recipe: Recipe | str,
        data: DataSet | None,
        options: RunOptions | None,
        console: Console | None,
        network: Factory | None,
        features: str | None,
    ) -> None:
        if not isinstance(data, DataSet | None):
            raise UserError(
                f"data: expected a data set from data_set_from_arrays, got {type(data).__name__}"
            )
        for name, value, kind in (("options", options, RunOptions), ("console", console, Console)):
            if not isinstance(value, kind | None):
                raise UserError(f"{name}: expected {kind.__name__} or nothing, got {quoted(value)}")
        self.recipe, self.data = with_module(as_recipe(recipe), network, features), data
        self.options, self.console = options or RunOptions(), console or standard_console()


def _launched(task: Callable[[torch.device], ResultT], recipe: Recipe) -> ResultT:
    """Run a task on the recipe's hardware, with its number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.hardware.threads or threads)
    try:
        with terminated_by_signals(), launched(recipe.hardware) as device:
            return task(device)
    finally:
        torch.set_num_threads(threads)


def _prepared(device: torch.device, request: _Request, *, finished: bool = False) -> Preparation:
    """Check everything that can be checked without images, then prepare the training with the images."""

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
                on_source=lambda recipe, source: require_size(device, recipe, source),
                finished=finished,
            )

    on_rank_zero(check)
    # Rank 0 decodes images that are not decoded yet, and reports on them. Then the other ranks read the same
    # store.
    rank_zero_result: list[Preparation] = []
    on_rank_zero(lambda: rank_zero_result.append(prepared()))
    preparation = on_every_rank(lambda: rank_zero_result[0] if rank_zero_result else prepared())
    fingerprint = broadcast_object(preparation.data.fingerprint)
    on_every_rank(lambda: require_same_images(preparation, fingerprint))
    wait_less()
    end_if_asked()
    return preparation


def _say_what_was_read(device: torch.device, preparation: Preparation, console: Console) -> None:
    recipe, say = preparation.recipe, _printer(console)
    computation = computation_sentence(
        recipe.hardware, device, recipe.networks, players=players_of(recipe)
    )
    for line in (*summary_lines(preparation), computation):
        say(line)


def _train(device: torch.device, folder: RunFolder, request: _Request) -> Results:
    options, console = request.options, request.console
    with ExitStack() as stack:
        on_rank_zero(lambda: stack.enter_context(claimed(folder, resume=options.resume)))
        finished = from_rank_zero(folder.results.exists)
        preparation = _prepared(device, request, finished=finished)
        costs: dict[str, float] = {}
        begun = from_rank_zero(lambda: _begun(folder))
        if begun is None:
            _say_what_was_read(device, preparation, console)
            preparation, measured = planned(device, preparation, _printer(console))
            costs = {name: cost.step for name, cost in measured.items()}
        elif has_arms(begun):
            recipe = with_plan_of(preparation.recipe, begun)
            preparation = replace(preparation, recipe=recipe)
        on_rank_zero(lambda: begin(folder, preparation, device, options, costs))
        results = from_rank_zero(folder.read_results)
        if results is None:
            if begun is not None:
                _say_what_was_read(device, preparation, console)
            if is_ensemble(preparation.recipe):
                results = run_members(device, folder, preparation, options, console)
            else:
                results = _run(device, folder, preparation, request, is_new=begun is None)
    if rank() == 0:
        print_verdict(console, results, verdict_sentence(results), str(folder.report))
    return results


def _dry_run(device: torch.device, request: _Request) -> None:
    console = request.console
    preparation = _prepared(device, request)
    _say_what_was_read(device, preparation, console)
    if has_arms(preparation.recipe):
        preparation, _ = planned(device, preparation, _printer(console), always_timed=True)
        seconds = None
    else:
        seconds = step_seconds(device, preparation.recipe, preparation.split.training)
    say = _printer(console)
    for line in dry_run_lines(preparation, seconds, device, ranks()):
        say(line)


def _printer(console: Console) -> Callable[[str], None]:
    """A function that prints a line unchanged, only on rank 0."""

    def say(line: str) -> None:
        if rank() == 0:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


def _begun(folder: RunFolder) -> Recipe | None:
    """The recipe of the run in a folder; None if no run has begun there."""
    return read_recipe(folder.recipe) if folder.recipe.exists() else None


def _run(
    device: torch.device,
    folder: RunFolder,
    preparation: Preparation,
    request: _Request,
    *,
    is_new: bool,
) -> Results:
    """Train the folds and arms, if any, then the model that is saved; write everything except the
    checkpoints.
    """
    measured = from_rank_zero(folder.read_manifest).step_seconds or {}
    step_costs = step_costs_of(preparation, measured)
    planned = bool(step_costs) and step_costs == measured
    entries = [progress_entry(training, step_costs) for training in trainings_of(preparation)]
    trainer = Trainer(
        device=device,
        folder=folder,
        options=request.options,
        origin=origin_of(preparation),
        progress=RunProgress(
            request.console, entries, planned=planned, plan_printed=planned and is_new
        ),
        step_seconds=step_costs,
        stop_requested=lambda: False,
    )
    return run_single(trainer, folder, preparation).results
