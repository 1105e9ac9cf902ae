"""The command line. The only file that knows about it; heavy imports wait until a command runs."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import AvoidSubcommands, DisallowNone, Positional, arg, subcommand

from convergan import __version__
from convergan.errors import UserError
from convergan.recipes.presets import PRESETS, SUMMARIES
from convergan.recipes.settings import Recipe

INTERRUPTED = 130
"""What shells give a command that Ctrl-C ended."""


class Stopped(Exception):
    """The user ended the command; the message says how to go on."""


@dataclass(kw_only=True)
class TrainRecipe:
    """Train a classifier and a generator, and see whether the generator helped the classifier."""

    out: Path | None = None
    """Folder of the run. Unset: runs/<recipe>-<labels>-seed<seed>."""

    resume: bool = False
    """Continue the run in that folder exactly where its last checkpoint left it."""

    checkpoint_every_seconds: float = 30.0
    """Time between checkpoints: what a killed run loses at most."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """On a loss that is not finite: `stop`; or `rollback` to the last checkpoint, halve the learning
    rate and go on, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Where each epoch's numbers go beside metrics.jsonl."""

    recipe: Annotated[Recipe, arg(name=""), AvoidSubcommands]
    """Everything that decides the result."""

    def run(self) -> None:
        from convergan.training.loop import Interrupted
        from convergan.training.run import RunOptions, train

        recipe = self.recipe
        out = self.out
        if out is None:
            labels = "" if recipe.labels is None else f"-{recipe.labels}"
            out = Path("runs") / f"{recipe.name}{labels}-seed{recipe.seed}"
        options = RunOptions(
            resume=self.resume,
            checkpoint_every_seconds=self.checkpoint_every_seconds,
            on_divergence=self.on_divergence,
            logger=self.logger,
        )
        try:
            train(recipe, out, options=options)
        except Interrupted:
            raise Stopped(f"stopped; the same command with --out {out} --resume goes on") from None


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
    """Train a classifier from few labels, with the paper's GAN.

    `convergan train RECIPE --help` lists a recipe's settings.
    `convergan train --from FILE` repeats the run whose recipe.yaml FILE is.
    """

    recipe: Annotated[_RECIPES, arg(name="")]
    """The settings to start from."""

    def run(self) -> None:
        self.recipe.run()


@dataclass(kw_only=True)
class Predict:
    """Classify images with a finished run, into a CSV file."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    images: Positional[Path]
    """An image, or a folder of images (and of folders of images)."""

    out: Path = field(default=Path("predictions.csv"))
    """The file to write: path, label, confidence, and one column per class."""

    def run(self) -> None:
        from rich.console import Console

        from convergan.inference.predict import predict_to_csv

        with _progress("predicting") as progress:
            count = predict_to_csv(self.run_folder, self.images, self.out, progress=progress)
        Console().print(f"{self.out}: {count:,} images", highlight=False)


@dataclass(kw_only=True)
class Sample:
    """Draw images from the generator of a finished run."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    count: int
    """How many images."""

    out: Path
    """Folder to write them to, as PNG files; new or empty."""

    seed: int = 0
    """Seed of the noise that they are made from."""

    def run(self) -> None:
        from rich.console import Console

        from convergan.inference.sample import sample

        with _progress("sampling") as progress:
            grid = sample(self.run_folder, self.count, self.out, seed=self.seed, progress=progress)
        Console().print(f"{self.out}: {self.count:,} images; {grid} shows some", highlight=False)


_COMMANDS = (
    Annotated[Train, subcommand("train")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Sample, subcommand("sample")]
)

_HELP = """Improved Techniques for Training GANs: classifiers from few labels.

`convergan COMMAND --help` tells more.
`--debug` with any command shows where an error came from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code: 0 only on success."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        print(f"convergan {__version__}")
        return 0
    try:
        _parse(words).run()
    except UserError as error:
        if debug:
            raise
        return _fail(str(error))
    except Stopped as end:
        return _fail(str(end), INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("stopped", INTERRUPTED)
    return 0


def _parse(words: list[str]) -> TrainRecipe | Train | Predict | Sample:
    """The command that the words spell.

    Raises:
        UserError: they spell none.
        SystemExit: they ask for help, which has been printed.
    """
    if words[:1] == ["train"] and len(words) > 1 and words[1].partition("=")[0] == "--from":
        option, _, file = words[1].partition("=")
        rest = words[2:] if file else words[3:]
        if not file and len(words) < 3:
            raise UserError("from: expected the path of a recipe.yaml, got nothing")
        from convergan.recipes.files import read_recipe

        saved = TrainRecipe(recipe=read_recipe(Path(file or words[2])))
        return _tyro(TrainRecipe, rest, f"convergan train {option}", saved)
    return _tyro(_COMMANDS, words, "convergan")


def _tyro(kind: Any, words: list[str], program: str, default: Any = tyro.MISSING) -> Any:
    """tyro's parser, with its framed error in one line."""
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(
                kind,
                args=words,
                prog=program,
                default=default,
                description=_HELP,
                config=(DisallowNone,),
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise UserError(_one_line(complaint.getvalue(), program)) from None


def _one_line(complaint: str, program: str) -> str:
    """tyro's framed complaint without its frame, its title and what repeats the help."""
    lines = [line.strip("╭╮╰╯│─ ") for line in complaint.splitlines()]
    told = []
    for line in [line for line in lines if line][1:]:
        if line.startswith(("Got errors", "Argument helptext", "Available", "For full helptext")):
            break
        told.append(line)
    return f"{' '.join(told)} ({program} --help tells more)"


def _fail(message: str, code: int = 1) -> int:
    print(f"convergan: {message}", file=sys.stderr)
    return code


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; silent where the output is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


if __name__ == "__main__":
    sys.exit(main())
