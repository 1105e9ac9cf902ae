"""The command line. The only file that knows about it; heavy imports wait until a command runs."""

import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annotated_types import Interval
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, Positional, arg, subcommand

from convergan import __version__
from convergan.errors import UserError, file_problem, one_line, printable, shortened
from convergan.options import parse_options, see_help
from convergan.outputs import STANDARD_OUTPUT, is_standard_output
from convergan.progress_bar import progress_bar
from convergan.ranges import Checked, Seed
from convergan.recipes.presets import PRESETS, SUMMARIES
from convergan.recipes.score_settings import ScoreFiles, ScoreSettings
from convergan.recipes.settings import Recipe
from convergan.study_commands import STUDY_COMMANDS, StudyCommand
from convergan.terminal import spell_out

INTERRUPTED = 130
"""Exit code of shells for a command that Ctrl-C ended."""

BROKEN_PIPE = 141
"""Exit code of shells for a command whose output is no longer read."""

UNEXPECTED = 70
"""Exit code after an error of this package or of a library: EX_SOFTWARE of sysexits.h."""


class Stopped(Exception):
    """The user ended the command; the message says how to go on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(kw_only=True)
class TrainRecipe(Checked):
    """Train a classifier and a generator, and see whether the generator helped the classifier."""

    out: Path | None = None
    """Folder of the run. Unset: runs/<recipe>-<labels>-seed<seed>."""

    resume: bool = False
    """Continue the run in that folder exactly where its last checkpoint left it."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Time between checkpoints: what a killed run loses at most."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """On a loss that is not finite: `stop`; or `rollback` to the last checkpoint, halve the learning
    rate and go on, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Where each epoch's numbers go beside metrics.jsonl."""

    dry_run: bool = False
    """Read the images, say what they were understood as and what training would take, and stop there."""

    recipe: Annotated[Recipe, arg(name=""), AvoidSubcommands]
    """Everything that decides the result."""

    def run(self) -> None:
        from convergan.runs.folder import RunFolder

        recipe = self.recipe
        out = self.out
        if out is None:
            labels = "" if recipe.labels is None else f"-{recipe.labels}"
            out = Path("runs") / f"{recipe.name}{labels}-seed{recipe.seed}"
        # A rehearsal writes nothing there; who names a folder for it wants to know.
        wanted = self.out is not None or not self.dry_run
        if wanted and os.environ.get("RANK", "0") == "0":
            # Here as well as in `train`: what follows takes seconds to load.
            RunFolder(out).require_place(resume=self.resume)

        from convergan.training.run import RunOptions, rehearse, train
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
        except Interrupted as end:
            message = f"stopped; the same command with --out {out} --resume goes on"
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
    """Train a classifier from few labels, with the paper's GAN.

    `convergan train RECIPE --help` lists a recipe's settings.
    `convergan train --from FILE` repeats the run whose recipe.yaml FILE is.
    """

    recipe: Annotated[_RECIPES, arg(name="")]
    """The settings to start from."""

    def run(self) -> None:
        self.recipe.run()


@dataclass(kw_only=True)
class Predict(Checked):
    """Classify images with a finished run, into a CSV file."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGES")]
    """Images, or folders of images (and of folders of images)."""

    out: Path = field(default=Path("predictions.csv"))
    """The file to write: path, label, confidence, and one column per class. `-`: the standard output."""

    overwrite: bool = False
    """Replace a file that is there."""

    skip_unreadable: bool = False
    """Go on without images that cannot be read; they are counted and listed."""

    def run(self) -> None:
        from convergan.images.passed_over import count_passed_over
        from convergan.images.read_images import SkippedImage, files_passed_over
        from convergan.inference.predict import predict_to_csv

        if not self.images:
            raise UserError("images: expected an image or a folder of images, got nothing")
        skipped: list[SkippedImage] = []
        with progress_bar("predicting") as progress:
            count = predict_to_csv(
                self.run_folder,
                self.images,
                self.out,
                overwrite=self.overwrite,
                unreadable=skipped.append if self.skip_unreadable else None,
                progress=progress,
            )
        passed_over = [name for place in self.images for name in files_passed_over(place)]
        if told := count_passed_over(passed_over):
            print(told, file=sys.stderr)
        for image in skipped:
            print(f"left out: {printable(f'{image.name}: {image.reason}')}", file=sys.stderr)
        left_out = f", {len(skipped):,} left out that cannot be read" if skipped else ""
        _report_on(self.out, f"{count:,} images{left_out}")


@dataclass(kw_only=True)
class Sample(Checked):
    """Draw images from the generator of a finished run."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a finished run."""

    count: Annotated[int, Interval(ge=1, le=10**8)]
    """How many images."""

    out: Path
    """Folder to write them to, as PNG files; new or empty."""

    seed: Seed = 0
    """Seed of the noise that they are made from."""

    best: Annotated[float, Interval(gt=0, le=1)] | None = None
    """Draw more, and keep this share: the paper's 0.01, say."""

    by: Literal["inception"] | None = None
    """For --best: what they are the best by. Unset: inception, an image's contribution to the Inception
    score."""

    classifier: Path | None = None
    """For --best: a run whose classifier looks at the images. Unset: the Inception network of 2015."""

    weights: Path | None = None
    """For --best: the Inception network's weights. Unset: from the cache, or downloaded into it."""

    overwrite: bool = False
    """Replace the grid of images beside the folder, <out>-grid.png; the folder must be new or empty."""

    def run(self) -> None:
        from convergan.inference.sample import require_room, sample

        places = None
        if self.best is None:
            for name in ("by", "classifier", "weights"):
                if getattr(self, name) is not None:
                    raise UserError(f"{name}: expected --best beside it, got none")
        else:
            from convergan.inference.best_samples import best_samples
            from convergan.inference.score_inputs import open_embedding

            require_room(self.out, overwrite=self.overwrite)
            with progress_bar("the network's weights", unit="bytes") as progress:
                embedding = open_embedding(
                    classifier=self.classifier,
                    weights=self.weights,
                    precision="fp32",
                    progress=progress,
                )
            with progress_bar("looking at samples") as progress:
                places = best_samples(
                    self.run_folder,
                    self.count,
                    self.best,
                    embedding,
                    seed=self.seed,
                    progress=progress,
                )
        with progress_bar("sampling") as progress:
            grid = sample(
                self.run_folder,
                self.count,
                self.out,
                seed=self.seed,
                places=places,
                overwrite=self.overwrite,
                progress=progress,
            )
        print(printable(f"{self.out}: {self.count:,} images; {grid} shows some"))


@dataclass(kw_only=True)
class Score(Checked):
    """Inception score and its company, with intervals, of images or of a run's generator."""

    images: Annotated[Positional[Path], arg(metavar="IMAGES")]
    """A folder of images, parquet files, a .npy or .npz, or a run."""

    files: Annotated[ScoreFiles, arg(name=""), AvoidSubcommands]
    """What is beside the images, and where results go."""

    settings: Annotated[ScoreSettings, arg(name=""), AvoidSubcommands]
    """How they are scored."""

    def run(self) -> None:
        from convergan.inference.score_command import score_paths

        score_paths(self.images, self.files, self.settings)


_LONGEST_LINE = 1_500
"""Largest number of characters of an error; the middle of a longer one is left out."""

_COMMANDS = {
    "train": Train,
    "predict": Predict,
    "sample": Sample,
    "score": Score,
    "study": StudyCommand,
}

_COMMAND: Any = Union[  # noqa: UP007
    tuple(Annotated[command, subcommand(name)] for name, command in _COMMANDS.items())
]


@dataclass(kw_only=True)
class _Convergan:
    """Improved Techniques for Training GANs: classifiers from few labels.

    `convergan COMMAND --help` tells more.
    """

    command: Annotated[_COMMAND, arg(name="")]
    """What to do."""

    version: FlagCreatePairsOff[bool] = False
    """Show the version and exit."""

    debug: FlagCreatePairsOff[bool] = False
    """With any command: show where an error came from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code: 0 only on success."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        print(f"convergan {__version__}")
        return 0
    try:
        with _plain_output():
            _parse(words).run()
    except Stopped as end:
        return _fail(str(end), end.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped", INTERRUPTED)
    except BrokenPipeError:
        # What is still to be flushed at exit has no reader either.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UserError as error:
        if debug:
            raise
        return _fail(str(error))
    except Exception as error:
        if debug:
            raise
        if _is_lack_of_memory(error):
            return _fail(
                f"memory: expected enough for this command, got too little ({one_line(error)});"
                " smaller images, networks or batches need less"
            )
        if isinstance(error, OSError):
            return _fail(file_problem(error))
        kind = type(error).__name__
        return _fail(f"unexpected {kind}: {one_line(error)} (--debug shows where)", UNEXPECTED)
    return 0


@contextmanager
def _plain_output() -> Iterator[None]:
    """Adapts output to the terminal: spells out characters it lacks, and prints each warning as one line."""
    spell_out()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"convergan: warning: {one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _is_lack_of_memory(error: Exception) -> bool:
    """True if an exception means a lack of memory, for which torch has a type of its own only on GPUs."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(sign in str(error) for sign in ("out of memory", "not enough memory", "alloc_cpu"))
    )


def _report_on(out: Path, text: str) -> None:
    """Prints what has been written, to the standard error if the output is the standard output."""
    print(
        f"{'standard output' if out == STANDARD_OUTPUT else printable(str(out))}: {text}",
        file=sys.stderr if is_standard_output(out) else sys.stdout,
    )


def _parse(words: list[str]) -> Any:
    """The command, an instance with a `run`, that command-line words spell.

    Raises:
        UserError: they spell none.
        SystemExit: they ask for help, which has been printed.
    """
    _check_choice("command", _COMMANDS, words, "convergan")
    command, *arguments = words
    program = f"convergan {command}"
    if command == "train":
        return _parse_train(arguments, program)
    if command == "study":
        _check_choice("study command", STUDY_COMMANDS, arguments, program)
        if arguments[0] in STUDY_COMMANDS:
            name = arguments[0]
            return parse_options(STUDY_COMMANDS[name], arguments[1:], program=f"{program} {name}")
    if command in _COMMANDS:
        return parse_options(_COMMANDS[command], arguments, program=program)
    return parse_options(_Convergan, words, program="convergan")


def _parse_train(words: list[str], program: str) -> Any:
    file, words = _take_from(words)
    if file is not None:
        if words[:1] and words[0] in PRESETS:
            raise UserError(
                f"from: expected no recipe beside the file {file}, got {one_line(words[0])}"
            )
        from convergan.recipes.files import read_recipe

        saved = TrainRecipe(recipe=read_recipe(Path(file)))
        return parse_options(TrainRecipe, words, program=f"{program} --from {file}", default=saved)
    _check_choice("recipe", PRESETS, words, program)
    name, *arguments = words
    if name not in PRESETS:
        return parse_options(Train, words, program=program)
    preset = TrainRecipe(recipe=PRESETS[name])
    return parse_options(
        TrainRecipe,
        arguments,
        program=f"{program} {name}",
        default=preset,
        description=SUMMARIES[name],
    )


def _check_choice(what: str, choices: Collection[str], words: list[str], program: str) -> None:
    """Checks that the first word is one of the choices, or asks tyro for help or for completion."""
    word = words[0] if words else "nothing"
    if word not in choices and not word.startswith(("-h", "--help", "--tyro-")):
        expected = ", ".join(choices)
        raise UserError(
            f"{what}: expected one of {expected}, got {one_line(word)} {see_help(program)}"
        )


def _take_from(words: list[str]) -> tuple[str | None, list[str]]:
    """The file that `--from` names, wherever it stands, and the other words."""
    for place, word in enumerate(words):
        option, equals, file = word.partition("=")
        if option != "--from":
            continue
        rest = words[place + 1 :]
        if not equals and rest:
            file = rest.pop(0)
        if not file:
            raise UserError("from: expected the path of a recipe.yaml, got nothing")
        return file, words[:place] + rest
    return None, words


def _fail(message: str, code: int = 1) -> int:
    # A terminal that is gone takes no message, and the code is still to be given.
    with suppress(OSError):
        print(f"convergan: {shortened(message, _LONGEST_LINE)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
