"""Exclusive use of a run folder by one process: its lock, and the removal of earlier leftovers."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock

from convergan.errors import UserError, one_line
from convergan.files import lock_at_once, make_folder, remove_leftovers
from convergan.runs.checkpoints import has_checkpoint
from convergan.runs.folder import RunFolder

# Leftovers of convergan 0.1.0, and of safetensors, which writes to a temporary file first.
_OLD_ASIDE = ".aside-*"
_ATTEMPTS = 20
_SAFETENSORS_ASIDE = re.compile(r"\.tmp[0-9A-Za-z]{6}")


class InUse(UserError):
    """Another process trains in the run folder."""


@contextmanager
def claimed(folder: RunFolder, *, resume: bool) -> Iterator[None]:
    """Reserve a run folder for this process during the block; make it if necessary.

    Leftovers of killed processes are removed. A run that begins in this block, and has no checkpoint at its
    end, is removed as well, so that the next attempt finds the folder as this one did. A finished run is only
    read: it is not reserved.

    Raises:
        UserError: the folder cannot be used (`RunFolder.require_place`).
        InUse: another process trains in it.
    """
    folder.require_place(resume=resume)
    if folder.results.exists():
        yield
        return
    new = make_folder(folder.path)
    try:
        with _locked(folder):
            begun_before = folder.recipe.exists()
            _remove_leftovers(folder)
            try:
                yield
            finally:
                if not begun_before and not _is_resumable(folder):
                    _remove_run(folder)
    finally:
        for path in new:
            # Folders that are no longer empty stay.
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    # Any thread may release it.
    lock = FileLock(folder.lock, thread_local=False)
    if not _acquired(lock):
        raise InUse(
            f"{folder.path}: expected a run that no other process is training, got one that is being "
            f"trained{_holder(folder.lock)}"
        )
    try:
        # On a file system without locks, the file's content is a matter of its own.
        if not isinstance(lock, SoftFileLock):
            with suppress(OSError):
                folder.lock.write_text(
                    f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8"
                )
        yield
    finally:
        # While it is held: whoever waits for it sees that the file has gone, and makes a new one.
        with suppress(OSError):
            folder.lock.unlink()
        lock.release()


def _acquired(lock: FileLock) -> bool:
    """Acquire the lock in a run folder; False if another process holds it, or acquires and releases it."""
    for _ in range(_ATTEMPTS):
        try:
            return lock_at_once(lock)
        except FileNotFoundError:
            # A process that has just ended took its empty folder with it.
            make_folder(Path(lock.lock_file).parent)
    return False


def _holder(lock: Path) -> str:
    """Text on the holder of a lock, if its file tells."""
    with suppress(OSError, UnicodeDecodeError):
        text = lock.read_text(encoding="utf-8")
        if text.startswith("process "):
            return f" by {one_line(text)}"
    return ""


def _remove_leftovers(folder: RunFolder) -> None:
    for part in folder.parts():
        for subfolder in (part.path, part.checkpoints, part.model, part.samples):
            if not subfolder.is_dir():
                continue
            remove_leftovers(subfolder)
            old = list(subfolder.glob(_OLD_ASIDE))
            if subfolder in (part.checkpoints, part.model):
                old += [
                    path for path in subfolder.iterdir() if _SAFETENSORS_ASIDE.fullmatch(path.name)
                ]
            for path in old:
                path.unlink(missing_ok=True)


def _is_resumable(folder: RunFolder) -> bool:
    return any(has_checkpoint(part.checkpoints) for part in folder.parts())


def _remove_run(folder: RunFolder) -> None:
    """Remove the files that a run has before its first checkpoint."""
    for part in (
        folder.checkpoints,
        folder.samples,
        folder.folds,
        folder.arms,
        folder.members,
        folder.tensorboard,
    ):
        shutil.rmtree(part, ignore_errors=True)
    for file in (folder.metrics, folder.manifest, folder.recipe):
        file.unlink(missing_ok=True)
