"""The files in a folder and in the folders below it."""

import os
from pathlib import Path

from convergan.errors import UserError, printable, system_problem
from convergan.images.utf8 import require_utf8

_NOT_THE_USERS = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
)
"""Names of folders made by archives, network disks and file systems, in lower case."""


def files_below(path: Path) -> list[str]:
    """Names, relative to `path` and with `/`, of all files below it, sorted.

    Links to folders are followed, but not in circles. Names that start with a dot are ignored, and
    so are folders that systems keep for themselves, such as `__MACOSX`.

    Raises:
        UserError: a folder that cannot be read; `path` is not UTF-8.
    """
    require_utf8([str(path)], "a folder")
    names: list[str] = []
    visited: set[str] = set()
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        folder = os.path.join(path, prefix)
        visited.add(os.path.realpath(folder))
        subfolders = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not _is_folder(entry):
                        names.append(prefix + entry.name)
                    elif not (is_the_systems(entry.name) or _leads_back(entry, visited)):
                        subfolders.append(f"{prefix}{entry.name}/")
        except OSError as error:
            raise UserError(
                f"{printable(str(Path(error.filename or folder)))}: expected a folder that can be read, got"
                f" {system_problem(error)}"
            ) from error
        prefixes += sorted(subfolders, reverse=True)
    return sorted(names)


def is_the_systems(folder: str) -> bool:
    """True if a folder of this name is hidden, or kept by a system or a tool for itself."""
    return folder.startswith(".") or folder.lower() in _NOT_THE_USERS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that cannot be followed. A file's name has a suffix, and the file is named once it is opened.
        if os.path.splitext(entry.name)[1]:
            return False
        raise


def _leads_back(entry: os.DirEntry[str], visited: set[str]) -> bool:
    return entry.is_symlink() and os.path.realpath(entry.path) in visited
