"""The command line: its commands, its exit codes, and how it reports errors."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Union

from tyro.conf import FlagCreatePairsOff, arg, subcommand

from convergan import __version__
from convergan.errors import UserError, file_problem, one_line, shortened
from convergan.image_commands import Evaluate, Predict, Sample, Score
from convergan.options import as_typed, parse_options, require_choice
from convergan.reproduce_commands import Reproduce
from convergan.study_commands import STUDY_COMMANDS, StudyCommand
from convergan.terminal import spell_out
from convergan.train_commands import Stopped, Train, parse_train

INTERRUPTED = 130
"""Exit code of shells for a command that Ctrl-C ended."""

BROKEN_PIPE = 141
"""Exit code of shells for a command whose output is no longer read."""

UNEXPECTED = 70
"""Exit code after an error of this package or of a library: EX_SOFTWARE of sysexits.h."""

_LONGEST_LINE = 1_500
"""Largest number of characters of an error; the middle of a longer one is left out."""

_COMMANDS = {
    "train": Train,
    "predict": Predict,
    "evaluate": Evaluate,
    "sample": Sample,
    "score": Score,
    "study": StudyCommand,
    "reproduce": Reproduce,
}

_COMMAND: Any = Union[  # noqa: UP007
    tuple(Annotated[command, subcommand(name)] for name, command in _COMMANDS.items())
]


_Flag = FlagCreatePairsOff[Annotated[bool, arg(help_behavior_hint="")]]


@dataclass(kw_only=True)
class _Convergan:
    """Improved Techniques for Training GANs: classifiers from few labels.

    Use `convergan COMMAND --help` for the options of a command.
    """

    command: Annotated[_COMMAND, arg(name="")]
    """Command to run."""

    version: _Flag = False
    """Show the version and exit."""

    debug: _Flag = False
    """Show the traceback of an error, with any command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give the exit code: 0 only on success."""
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
        return _fail(as_typed(str(error), words))
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
    """Adapt output to the terminal: spell out characters it lacks, and print each warning as one line."""
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


def _parse(words: list[str]) -> Any:
    """The command, an instance with a `run`, that command-line words spell.

    Raises:
        UserError: they spell none.
        SystemExit: they ask for help, which has been printed.
    """
    require_choice("command", _COMMANDS, words, "convergan")
    command, *arguments = words
    program = f"convergan {command}"
    if command == "train":
        return parse_train(arguments, program)
    if command == "study":
        require_choice("study command", STUDY_COMMANDS, arguments, program)
        if arguments[0] in STUDY_COMMANDS:
            name = arguments[0]
            return parse_options(STUDY_COMMANDS[name], arguments[1:], program=f"{program} {name}")
    if command in _COMMANDS:
        return parse_options(_COMMANDS[command], arguments, program=program)
    return parse_options(_Convergan, words, program="convergan")


def _fail(message: str, code: int = 1) -> int:
    # A terminal that is gone takes no message, and the code is still to be given.
    with suppress(OSError):
        print(f"convergan: {shortened(message, _LONGEST_LINE)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
