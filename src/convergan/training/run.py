"""From a recipe to a finished run folder: data, folds, training, verdict, model, report."""

from collections.abc import Callable, Mapping
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
from convergan.recipes.arms import arm_names, arm_recipe, has_arms, own_arm, with_plan_of
from convergan.recipes.files import read_recipe, recipe_sha256
from convergan.recipes.presets import as_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import device_name, git_commit, versions
from convergan.runs.results import Results
from convergan.terminal import standard_console
from convergan.training.arms import train_arms, train_folds
from convergan.training.computation import computation_sentence, resolved_precision
from convergan.training.finish import write_end
from convergan.training.large_images import require_size
from convergan.training.launch import launched, on_every_rank, on_rank_zero
from convergan.training.manifest import write_manifest
from convergan.training.objective import losses_of
from convergan.training.options import RunOptions as RunOptions
from convergan.training.outcome import tested, with_arms
from convergan.training.planning import ArmCost, planned
from convergan.training.preparation import Preparation, prepare
from convergan.training.progress import RunProgress, print_verdict
from convergan.training.signals import (
    end_if_asked,
    stop_on_signals,
    terminated_by_signals,
)
from convergan.training.summary import (
    rehearsal_lines,
    seconds_of_trainings,
    summary_lines,
)
from convergan.training.tensorboard import require_tensorboard
from convergan.training.trainer import Trainer, shown_of
from convergan.training.trainings import trainings_of
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


def expected_seconds(recipe: Recipe | str, *, console: Console | None = None) -> float:
    """The duration of training a recipe here, in seconds, from a few steps that leave nothing behind.

    Arguments and errors are those of `train`.
    """
    request = _Request(recipe, None, None, console)
    return _launched(lambda device: _expected_seconds(device, request), request.recipe)


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
    recipe, say = preparation.recipe, _printer(console)
    computation = computation_sentence(
        recipe.hardware, device, recipe.networks, players=_players(recipe)
    )
    for line in (*summary_lines(preparation), computation):
        say(line)


def _players(recipe: Recipe) -> set[str]:
    """The names of the players in all trainings of a recipe, a baseline that is an arm among them."""
    arms = [arm_recipe(recipe, name) for name in arm_names(recipe)] if has_arms(recipe) else []
    players = {name for each in (recipe, *arms) for name in losses_of(each.objective)}
    return players if recipe.baseline else players - {"baseline"}


def _train(device: torch.device, folder: RunFolder, request: _Request) -> Results:
    options, console = request.options, request.console
    with ExitStack() as stack:
        on_rank_zero(lambda: stack.enter_context(claimed(folder, resume=options.resume)))
        finished = folder.results.exists()
        preparation = _prepared(device, request, finished=finished)
        costs: dict[str, ArmCost] = {}
        begun = _begun(folder)
        if begun is None:
            _say_what_was_read(device, preparation, console)
            preparation, costs = planned(device, preparation, _printer(console))
        elif has_arms(begun):
            recipe = with_plan_of(preparation.recipe, begun)
            preparation = replace(preparation, recipe=recipe)
        on_rank_zero(lambda: _begin(folder, preparation, device, options))
        results = on_every_rank(folder.read_results)
        if results is None:
            if begun is not None:
                _say_what_was_read(device, preparation, console)
            results = _run(device, folder, preparation, request, costs)
    if rank() == 0:
        print_verdict(console, results, verdict_sentence(results), str(folder.report))
    return results


def _rehearse(device: torch.device, request: _Request) -> None:
    console = request.console
    preparation = _prepared(device, request)
    _say_what_was_read(device, preparation, console)
    if has_arms(preparation.recipe):
        preparation, _ = planned(device, preparation, _printer(console), rehearsed=True)
        seconds = None
    else:
        seconds = step_seconds(device, preparation.recipe, preparation.split.training)
    say = _printer(console)
    for line in rehearsal_lines(preparation, seconds, device, ranks()):
        say(line)


def _expected_seconds(device: torch.device, request: _Request) -> float:
    preparation = _prepared(device, request)
    if not has_arms(preparation.recipe):
        seconds = step_seconds(device, preparation.recipe, preparation.split.training)
        return seconds_of_trainings(preparation, seconds)
    preparation, costs = planned(device, preparation, _printer(request.console), rehearsed=True)
    if preparation.recipe.minutes is not None:
        return 60 * preparation.recipe.minutes
    return sum(
        training.steps * costs[training.arm or own_arm(preparation.recipe)].step
        for training in trainings_of(preparation)
    )


def _printer(console: Console) -> Callable[[str], None]:
    """Prints a line as it is, on rank 0 alone."""

    def say(line: str) -> None:
        if rank() == 0:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


def _begun(folder: RunFolder) -> Recipe | None:
    """The recipe of the run in a folder, if one was begun there. Every rank has what rank 0 finds."""
    found: list[Recipe] = []

    def look() -> None:
        if folder.recipe.exists():
            found.append(read_recipe(folder.recipe))

    on_rank_zero(look)
    return next(iter(broadcast_object(found)), None)


def _begin(
    folder: RunFolder, preparation: Preparation, device: torch.device, options: RunOptions
) -> None:
    folder.begin(preparation.recipe, resume=options.resume)
    if not folder.results.exists():
        write_manifest(folder, preparation, device)


def _run(
    device: torch.device,
    folder: RunFolder,
    preparation: Preparation,
    request: _Request,
    costs: Mapping[str, ArmCost],
) -> Results:
    """Trains the folds and arms, if any, then the model that stays; writes everything but the checkpoints."""
    # Of the code that runs, whatever is committed before it ends.
    commit = git_commit()
    recipe, split = preparation.recipe, preparation.split
    origin = {"recipe": recipe_sha256(recipe), "data set": preparation.data.fingerprint}
    step_costs = {name: cost.step for name, cost in costs.items()}
    trainings = trainings_of(preparation)
    progress = RunProgress(request.console, [shown_of(each, step_costs) for each in trainings])
    with stop_on_signals() as stop_requested:
        trainer = Trainer(
            device=device,
            folder=folder,
            options=request.options,
            origin=origin,
            progress=progress,
            step_seconds=step_costs,
            stop_requested=stop_requested,
        )
        trained = (train_arms if has_arms(recipe) else train_folds)(trainer, preparation)
    fitted = trained.fitted
    untested = Results(
        recipe=recipe.name,
        labels=len(split.training.labelled) + len(split.training.validation),
        seed=recipe.seed,
        epochs=trained.training.recipe.epochs,
        epoch_chosen=fitted.epoch,
        train_seconds=trained.seconds,
        seconds_per_epoch=fitted.train_seconds / trained.training.recipe.epochs,
        device=device_name(device),
        precision=resolved_precision(recipe.hardware, device, trained.training.recipe.networks),
        versions=versions(),
        git_commit=commit,
    )
    folds = 0 if has_arms(recipe) and preparation.data.test is not None else preparation.fold_count
    results = tested(untested, trained.outcomes, folds)
    results = with_arms(results, trained.arms, saved=trained.training.arm)
    if not has_arms(recipe) and "generator" not in losses_of(recipe.objective):
        results = replace(results, saved_arm=own_arm(recipe))
    on_rank_zero(
        lambda: write_end(folder, preparation, trained, results, device=device, origin=origin)
    )
    return results
