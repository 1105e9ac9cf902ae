"""Outputs of commands: new files, pipes, devices or the standard output."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from convergan.errors import UserError, system_problem
from convergan.files import naming, remove_leftovers, try_writing, written_aside

STANDARD_OUTPUT = Path("-")
"""The path that stands for the standard output."""


def require_output(path: Path, *, name: str, overwrite: bool) -> None:
    """Check, before the work, that its result can go to `path`; remove what killed writers left beside it.

    Args:
        path: a new file, a pipe, a terminal or another character device, or `-`; through symbolic links.
        name: the argument that `path` was given as, for the error.
        overwrite: whether a file that is there may be replaced.

    Raises:
        UserError: one line that says why not.
    """
    if is_standard_output(path):
        return
    mode = _mode(path, name)
    if mode is not None and stat.S_ISDIR(mode):
        raise UserError(f"{name}: expected a file, got the folder {path}")
    if mode is not None and not stat.S_ISREG(mode):
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            raise UserError(f"{name}: expected a file or a pipe, got a socket or a disk at {path}")
        return
    if mode is not None and not overwrite:
        raise UserError(
            f"{name}: expected a new file, got {path}, which exists; --overwrite replaces it"
        )
    _require_folder(Path(os.path.realpath(path)).parent, path, name, "a file")


def require_output_folder(
    folder: Path, files: Iterable[str], *, name: str, overwrite: bool
) -> None:
    """Check, before the work, that files of these names can be written into a folder, new or not.

    Raises:
        UserError: as `require_output`, for the folder or one of the files.
    """
    if folder == STANDARD_OUTPUT:
        raise UserError(f"{name}: expected a folder, got {folder}, the standard output")
    mode = _mode(folder, name)
    if mode is not None and not stat.S_ISDIR(mode):
        raise UserError(f"{name}: expected a folder, got the file {folder}")
    if mode is None:
        existing = next(
            parent for parent in Path(os.path.realpath(folder)).parents if parent.exists()
        )
        _require_folder(existing, folder, name, "a folder")
        return
    _require_folder(folder, folder, name, "a folder")
    for file in files:
        require_output(folder / file, name=name, overwrite=overwrite)


def require_empty_folder(folder: Path, *, name: str) -> None:
    """Check, before the work, that a folder is new or empty, and can be filled.

    Raises:
        UserError: as `require_output_folder`; or something is in it.
    """
    require_output_folder(folder, (), name=name, overwrite=False)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{name}: expected a new or empty folder, got {folder}, which is not empty")


def is_standard_output(path: Path) -> bool:
    """True if a path is `-`, or another name of the standard output, such as /dev/stdout.

    Where that is a file by now, a second opening would write over what has been printed.
    """
    if path == STANDARD_OUTPUT:
        return True
    if not os.path.realpath(path.parent).startswith(("/dev", "/proc")):
        return False
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def is_stream(path: Path) -> bool:
    """True if a path is the standard output, a pipe or a device, which pass on what is written at once."""
    return is_standard_output(path) or (path.exists() and not path.is_file())


@contextlib.contextmanager
def binary_output(path: Path) -> Iterator[BinaryIO]:
    """Open what `require_output` accepts: a file is written whole or not at all, all else straight."""
    if is_standard_output(path):
        with naming(Path("standard output")):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
    elif is_stream(path):
        with naming(path), path.open("wb") as stream:
            yield stream
    else:
        with written_aside(path) as temporary, temporary.open("wb") as stream:
            yield stream


@contextlib.contextmanager
def text_output(path: Path) -> Iterator[TextIO]:
    """Open an output as `binary_output` does, for text in UTF-8 whose line ends are kept."""
    with binary_output(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            yield text
            text.flush()
        finally:
            # It would close the standard output.
            with contextlib.suppress(OSError):
                text.detach()


def write_output(path: Path, text: str) -> None:
    """Write `text` to what `require_output` accepts."""
    with text_output(path) as stream:
        stream.write(text)


def _mode(path: Path, name: str) -> int | None:
    """The mode of the file that a path leads to, through links; None where there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: expected a path to write to, got {path} ({system_problem(error)})"
        ) from None


def _require_folder(folder: Path, path: Path, name: str, kind: str) -> None:
    if not folder.is_dir():
        raise UserError(f"{name}: expected {kind} in an existing folder, got {path}")
    remove_leftovers(folder)
    try:
        try_writing(folder)
    except OSError as error:
        raise UserError(
            f"{name}: expected a folder that can be written to, got {folder} ({system_problem(error)})"
        ) from None


def spreadsheet_text(text: str) -> str:
    """Text for a cell of a CSV file, with an apostrophe before what a spreadsheet would compute.

    Spreadsheets take cells that begin with =, +, -, @, a tab or a carriage return for formulas, which may
    start programs or send data away; numbers are harmless.
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
