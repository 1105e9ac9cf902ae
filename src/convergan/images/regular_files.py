"""Opening of regular files; a pipe or a device in a file's place is refused, and never opened."""

import os
import stat
from pathlib import Path

from convergan.errors import system_problem

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | Path) -> int:
    """Open a file for reading and return its descriptor.

    Opening a pipe waits for a writer, and opening a device may start it: the kind is checked first. Another
    kind of file that takes its place in between is opened without waiting, and closed.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    require_regular(path)
    descriptor = os.open(path, _FLAGS)
    try:
        require_regular(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def require_regular(file: str | Path | int) -> None:
    """Raise OSError if a path (links are followed) or an open descriptor is no regular file."""
    kind = stat.S_IFMT(os.stat(file).st_mode)
    if kind != stat.S_IFREG:
        raise OSError(f"{_KINDS.get(kind, 'something else')}, which is not a regular file")


def kind_of(path: Path) -> str:
    """A description of what is at a path, for messages: `a named pipe`, `nothing there`."""
    try:
        require_regular(path)
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "nothing there"
    except (OSError, ValueError) as error:
        return system_problem(error)
    return "a file"
