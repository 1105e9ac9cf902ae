"""Training of one model, or of the members of an ensemble, each in its run folder."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import torch
from rich.console import Console

from convergan.distributed import ranks
from convergan.recipes.arms import has_arms
from convergan.recipes.files import recipe_sha256
from convergan.recipes.members import member_recipes
from convergan.runs.claim import claimed
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import git_commit
from convergan.runs.results import Results
from convergan.training.arms import train_arms, train_folds
from convergan.training.ensemble import (
    Member,
    ensemble_of,
    finished_member,
    is_complete,
    with_members,
)
from convergan.training.finish import write_end, write_ensemble_end
from convergan.training.launch import (
    from_rank_zero,
    on_rank_zero,
)
from convergan.training.manifest import write_manifest
from convergan.training.options import RunOptions
from convergan.training.preparation import Preparation
from convergan.training.progress import RunProgress
from convergan.training.results import results_of
from convergan.training.signals import stop_on_signals
from convergan.training.together import train_together, trains_together
from convergan.training.trainer import Trainer, progress_entry
from convergan.training.trainings import trainings_of


def begin(
    folder: RunFolder,
    preparation: Preparation,
    device: torch.device,
    options: RunOptions,
    costs: Mapping[str, float],
) -> None:
    """Begin or continue a run in its folder; write its manifest unless it is finished."""
    folder.begin(preparation.recipe, resume=options.resume)
    if not folder.results.exists():
        write_manifest(folder, preparation, device, costs)


def run_single(trainer: Trainer, folder: RunFolder, preparation: Preparation) -> Member:
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


def run_members(
    device: torch.device,
    folder: RunFolder,
    preparation: Preparation,
    options: RunOptions,
    console: Console,
) -> Results:
    """Train the members of an ensemble, each in its run folder; write the model and results of all."""
    commit = git_commit()
    # The ensemble's folder has been claimed: the members in it may be continued.
    options = replace(options, resume=True)
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
    if jointly:
        # The members have nothing left to do after their joint training.
        entries = [
            replace(entry, trainings=count)
            if place < trainings_per_member
            else replace(entry, steps=0)
            for place, entry in enumerate(entries)
        ]
    progress = RunProgress(console, entries)
    trainers = [
        Trainer(
            device=device,
            folder=member_folder,
            options=options,
            origin=origin_of(prepared),
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
        on_rank_zero(lambda: begin(member_folder, preparations[index], device, options, {}))

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
            members.append(run_single(trainers[index], folders[index], prepared))
    ensemble = ensemble_of(members)
    results = with_members(results_of(preparation, ensemble, device, commit), members)
    on_rank_zero(
        lambda: write_ensemble_end(folder, preparation, members, ensemble, results, device=device)
    )
    return results


def origin_of(preparation: Preparation) -> dict[str, str]:
    """The identity of a run, by kind, for its checkpoints and its model."""
    return {
        "recipe": recipe_sha256(preparation.recipe),
        "data set": preparation.data.fingerprint,
    }
