"""Runs: from a recipe to a finished run folder with data, folds, training, verdict, model and report."""

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
from convergan.recipes.arms import has_arms, with_plan_of
from convergan.recipes.files import read_recipe, recipe_sha256
from convergan.recipes.members import is_ensemble, member_recipes
from convergan.recipes.presets import as_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import git_commit
from convergan.runs.results import Results
from convergan.terminal import standard_console
from convergan.training.arms import train_arms, train_folds
from convergan.training.computation import computation_sentence
from convergan.training.ensemble import (
    Member,
    ensemble_of,
    finished_member,
    is_complete,
    with_members,
)
from convergan.training.finish import write_end, write_ensemble_end
from convergan.training.large_images import require_size
from convergan.training.launch import (
    from_rank_zero,
    launched,
    on_every_rank,
    on_rank_zero,
    wait_less,
)
from convergan.training.manifest import write_manifest
from convergan.training.options import RunOptions as RunOptions
from convergan.training.planning import planned
from convergan.training.preparation import Preparation, prepare, require_same_images
from convergan.training.progress import RunProgress, print_verdict
from convergan.training.results import results_of
from convergan.training.signals import end_if_asked, stop_on_signals, terminated_by_signals
from convergan.training.summary import dry_run_lines, summary_lines
from convergan.training.tensorboard import require_tensorboard
from convergan.training.together import train_together, trains_together
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
                f"data: expected what data_set_from_arrays gives, got {type(data).__name__}"
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
        on_rank_zero(lambda: _begin(folder, preparation, device, options, costs))
        results = from_rank_zero(folder.read_results)
        if results is None:
            if begun is not None:
                _say_what_was_read(device, preparation, console)
            if is_ensemble(preparation.recipe):
                results = _run_members(device, folder, preparation, request)
            else:
                results = _run(device, folder, preparation, request)
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


def _begin(
    folder: RunFolder,
    preparation: Preparation,
    device: torch.device,
    options: RunOptions,
    costs: Mapping[str, float],
) -> None:
    folder.begin(preparation.recipe, resume=options.resume)
    if not folder.results.exists():
        write_manifest(folder, preparation, device, costs)


def _run(
    device: torch.device,
    folder: RunFolder,
    preparation: Preparation,
    request: _Request,
) -> Results:
    """Train the folds and arms, if any, then the model that is saved; write everything except the
    checkpoints.
    """
    step_costs = step_costs_of(preparation, from_rank_zero(folder.read_manifest).step_seconds or {})
    entries = [progress_entry(training, step_costs) for training in trainings_of(preparation)]
    trainer = Trainer(
        device=device,
        folder=folder,
        options=request.options,
        origin=_origin(preparation),
        progress=RunProgress(request.console, entries),
        step_seconds=step_costs,
        stop_requested=lambda: False,
    )
    return _run_single(trainer, folder, preparation).results


def _run_single(trainer: Trainer, folder: RunFolder, preparation: Preparation) -> Member:
    """Train one model into its folder, or read it if it is finished."""
    # The commit of the code that runs, even if there are new commits before it ends.
    commit = git_commit()
    device = trainer.device
    with stop_on_signals() as stop_requested:
        trainer.stop_requested = stop_requested
        train_all = train_arms if has_arms(preparation.recipe) else train_folds
        trained = train_all(trainer, preparation)
    results = from_rank_zero(folder.read_results)
    if results is None:
        results = results_of(preparation, trained, device, commit)
        on_rank_zero(
            lambda: write_end(
                folder, preparation, trained, results, device=device, origin=trainer.origin
            )
        )
    return Member(folder=folder, results=results, trained=trained)


def _run_members(
    device: torch.device, folder: RunFolder, preparation: Preparation, request: _Request
) -> Results:
    """Train the members of an ensemble, each in its run folder; write the model and results of all."""
    commit = git_commit()
    # The ensemble's folder has been claimed: the members in it may be continued.
    options = replace(request.options, resume=True)
    recipes = member_recipes(preparation.recipe)
    preparations = [replace(preparation, recipe=recipe) for recipe in recipes]
    folders = [folder.member(member.recipe.seed) for member in preparations]
    # Ranks on other machines may not see the models; they are sent checkpoints.
    are_complete = (
        [*map(is_complete, folders, preparations)] if ranks() == 1 else [False] * len(folders)
    )
    jointly = trains_together(preparation, device, options) and not any(are_complete)
    count, trainings_per_member = len(preparations), len(trainings_of(preparations[0]))
    titles = [f"{count} members"] if jointly else []
    titles += [f"member {number} of {count}" for number in range(1, count + 1)]
    entries = [
        progress_entry(training, {}, title)
        for title in titles
        for training in trainings_of(preparations[0])
    ]
    progress = RunProgress(request.console, entries)
    trainers = [
        Trainer(
            device=device,
            folder=member_folder,
            options=options,
            origin=_origin(prepared),
            progress=progress,
            step_seconds={},
            stop_requested=lambda: False,
            member=title,
            earlier=index * trainings_per_member,
        )
        for index, (member_folder, prepared, title) in enumerate(
            zip(folders, preparations, titles[-count:], strict=True), start=len(titles) - count
        )
    ]

    def begun(stack: ExitStack, index: int) -> None:
        member_folder = folders[index]
        on_rank_zero(lambda: stack.enter_context(claimed(member_folder, resume=True)))
        on_rank_zero(lambda: _begin(member_folder, preparations[index], device, options, {}))

    if jointly:
        with ExitStack() as stack, stop_on_signals() as stop_requested:
            for index in range(count):
                begun(stack, index)
            train_together(trainers, preparations, titles[0], stop_requested)
    members: list[Member] = []
    for index, prepared in enumerate(preparations):
        if are_complete[index]:
            members.append(finished_member(folders[index], prepared, device))
            continue
        with ExitStack() as stack:
            begun(stack, index)
            members.append(_run_single(trainers[index], folders[index], prepared))
    ensemble = ensemble_of(members)
    results = with_members(results_of(preparation, ensemble, device, commit), members)
    on_rank_zero(
        lambda: write_ensemble_end(folder, preparation, members, ensemble, results, device=device)
    )
    return results


def _origin(preparation: Preparation) -> dict[str, str]:
    """The identity of a run, by kind, for its checkpoints and its model."""
    return {
        "recipe": recipe_sha256(preparation.recipe),
        "data set": preparation.data.fingerprint,
    }
