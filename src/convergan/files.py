"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ASIDE = ".aside-"

# It can only be read by setting it.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yields a file beside `path` to write; it is synced and takes `path`'s place when the block ends.

    If the block raises, `path` stays as it was and nothing is left behind.
    """
    handle, name = tempfile.mkstemp(prefix=_ASIDE, suffix=f"-{path.name}", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes files for their owner alone; results are the usual files of the user.
        aside.chmod(0o666 & ~_UMASK)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def cache_folder(chosen: Path | None = None) -> Path:
    """Where what can be had again is kept: `chosen`, else $CONVERGAN_CACHE, else ~/.cache/convergan."""
    return Path(chosen or os.environ.get("CONVERGAN_CACHE") or "~/.cache/convergan").expanduser()


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> None:
    """Removes what a process that was killed while it wrote into `folder` left there."""
    for leftover in folder.glob(f"{_ASIDE}*"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power failure, where the system can sync a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
