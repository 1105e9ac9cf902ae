"""`convergan train`: one command for each recipe. Heavy imports wait until one runs."""

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annotated_types import Interval
from tyro.conf import AvoidSubcommands, arg, subcommand

from convergan.errors import UserError, one_line
from convergan.options import parse_options, require_choice
from convergan.ranges import Checked
from convergan.recipes.presets import PRESETS, SUMMARIES
from convergan.recipes.settings import Recipe


class Stopped(Exception):
    """The user ended the command; the message says how to go on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(kw_only=True)
class TrainRecipe(Checked):
    """Train a classifier and, with a GAN, a generator, and see whether that helped."""

    out: Path | None = None
    """Folder of the run. Unset: runs/<recipe>-<labels>-seed<seed>, for an ensemble with -members<members>."""

    resume: bool = False
    """Continue the run in the folder from its last checkpoint, exactly as if it had not stopped."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Seconds between checkpoints: the most training time that a killed run loses."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """Reaction to a loss that is not finite. `stop`: end the run. `rollback`: return to the last checkpoint,
    halve the learning rate and continue, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Additional logger for the numbers of each epoch; metrics.jsonl is always written."""

    dry_run: bool = False
    """Read the images, print how they were read and the memory and time that training would take, and
    stop."""

    recipe: Annotated[Recipe, arg(name=""), AvoidSubcommands]
    """All settings that affect the result."""

    def run(self) -> None:
        from convergan.runs.folder import RunFolder

        recipe = self.recipe
        out = self.out
        if out is None:
            labels = "" if recipe.labels is None else f"-{recipe.labels}"
            members = "" if recipe.members == 1 else f"-members{recipe.members}"
            out = Path("runs") / f"{recipe.name}{labels}-seed{recipe.seed}{members}"
        # A dry run writes nothing there; who names a folder for it wants to know.
        needs_folder = self.out is not None or not self.dry_run
        if needs_folder and os.environ.get("RANK", "0") == "0":
            # Here as well as in `train`: what follows takes seconds to load.
            RunFolder(out).require_place(resume=self.resume)

        from convergan.training.launch import RankFailed, launched_rank
        from convergan.training.options import RunOptions
        from convergan.training.run import rehearse, train
        from convergan.training.signals import Interrupted, Terminated

        options = RunOptions(
            resume=self.resume,
            checkpoint_every_seconds=self.checkpoint_every_seconds,
            on_divergence=self.on_divergence,
            logger=self.logger,
        )
        try:
            if self.dry_run:
                rehearse(recipe, options=options)
            else:
                train(recipe, out, options=options)
        except (UserError, RankFailed, Interrupted) as end:
            if launched_rank() != 0:
                # Rank 0 prints why.
                raise SystemExit(getattr(end, "exit_code", 1)) from None
            if not isinstance(end, Interrupted):
                raise
            message = f"stopped; the same command with --out {out} --resume continues"
            raise Stopped(message, end.exit_code) from None
        except Terminated as end:
            raise Stopped("stopped", end.exit_code) from None


# One subcommand for each recipe: a type that is built from a list, which type checkers do not follow.
_RECIPES: Any = Union[  # noqa: UP007
    tuple(
        Annotated[
            TrainRecipe,
            subcommand(
                name,
                default=TrainRecipe(recipe=recipe),
                description=SUMMARIES[name],
                prefix_name=False,
            ),
        ]
        for name, recipe in PRESETS.items()
    )
]


@dataclass(kw_only=True)
class Train:
    """Train a classifier from few labels.

    Use `convergan train RECIPE --help` for the settings of a recipe, and `convergan train --from FILE` to
    repeat a run, given its recipe.yaml.
    """

    recipe: Annotated[_RECIPES, arg(name="")]
    """Recipe to start from."""

    def run(self) -> None:
        self.recipe.run()


def parse_train(words: list[str], program: str) -> Any:
    """The training that the words after `convergan train` spell; see `options.parse_options`."""
    file, words = _take_from(words)
    if file is not None:
        if words[:1] and words[0] in PRESETS:
            raise UserError(
                f"from: expected no recipe with the file {file}, got {one_line(words[0])}"
            )
        from convergan.recipes.files import read_recipe

        saved = TrainRecipe(recipe=read_recipe(Path(file)))
        return parse_options(TrainRecipe, words, program=f"{program} --from {file}", default=saved)
    require_choice("recipe", PRESETS, words, program)
    name, *arguments = words
    if name not in PRESETS:
        return parse_options(Train, words, program=program)
    preset = TrainRecipe(recipe=_with_one_length(PRESETS[name], arguments))
    return parse_options(
        TrainRecipe,
        arguments,
        program=f"{program} {name}",
        default=preset,
        description=SUMMARIES[name],
    )


def _with_one_length(recipe: Recipe, words: list[str]) -> Recipe:
    """The recipe without the steps, or without the minutes, that the other option replaces."""
    parts = [part for word in words for part in word.split("=", 1)]
    pairs = set(pairwise(parts))

    def is_set_without(option: str, alternative: str) -> bool:
        is_set = f"--{option}" in parts and (f"--{option}", "None") not in pairs
        return is_set and f"--{alternative}" not in parts

    if is_set_without("minutes", "steps"):
        return replace(recipe, steps=None)
    return replace(recipe, minutes=None) if is_set_without("steps", "minutes") else recipe


def _take_from(words: list[str]) -> tuple[str | None, list[str]]:
    """The file that `--from` names, wherever it stands, and the other words."""
    for place, word in enumerate(words):
        option, equals, file = word.partition("=")
        if option != "--from":
            continue
        following = words[place + 1 :]
        if not equals and following:
            file = following.pop(0)
        if not file:
            raise UserError("from: expected the path of a recipe.yaml, got nothing")
        return file, words[:place] + following
    return None, words
