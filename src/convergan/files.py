"""Files and folders that are written whole or not at all, and the removal of a killed process's leftovers."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_TEMPORARY = ".convergan-aside-"
_LOCK = ".lock"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)

_ATTEMPTS = 5
_LOCK_SECONDS = 10.0

# It can only be read by setting it.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def aside_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent` to build in what is then renamed to its place; remove it at the end.

    A lock in it is held for as long as this process lives: what a killed process leaves is told from what a
    living one is writing (`remove_leftovers`). The lock's own name is `.lock`. On a file system without locks
    what a killed process leaves there stays.

    Raises:
        OSError: `parent` is absent, or nothing can be written there.
    """
    folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        # Some file systems keep files that are open, and with them their folder.
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def written_aside(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a path to write to; that file is synced and takes `path`'s place when the block ends.

    If the block raises, `path` stays as it was and nothing is left behind. Symbolic links are followed; a
    file that is replaced hands on its permissions; a new one has the usual ones, or is `private`: for its
    owner alone.

    Raises:
        FileExistsError: `path` is there and is no regular file: a device or a pipe is never replaced.
        OSError: the file cannot be written; its `filename` is `path`.
    """
    with naming(path), _written_aside(path, 0o600 if private else 0o666) as temporary:
        yield temporary


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in an OSError of the block, which writes it, for a full disk or a temporary file.

    The system names no file when the disk is full, and temporary files are unknown to the user.
    """
    try:
        yield
    except OSError as error:
        lacks_room = error.filename is None and error.errno in _NO_ROOM
        if lacks_room or _TEMPORARY in str(error.filename):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextlib.contextmanager
def _written_aside(path: Path, permissions: int) -> Iterator[Path]:
    target = Path(os.path.realpath(path))
    mode = usual_mode(permissions)
    with contextlib.suppress(FileNotFoundError):
        status = target.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileExistsError(f"{path}: expected a regular file to replace, got something else")
        mode = stat.S_IMODE(status.st_mode)
    with aside_folder(target.parent) as folder:
        temporary = folder / target.name
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        # Libraries may make files for their owner alone; results are the usual files of the user.
        temporary.chmod(mode)
        temporary.replace(target)
    sync_folder(target.parent)


def usual_mode(permissions: int) -> int:
    """The part of `permissions` (0o666 for files, 0o777 for folders) that the user's umask leaves."""
    return permissions & ~_UMASK


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_aside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, durably; give those that are new, innermost first."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        sync_folder(path.parent)
    return new


def try_writing(folder: Path) -> None:
    """Write a file without a name into a folder: permissions tell less, as of a file system that is full.

    Raises:
        OSError: nothing can be written there.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote into `folder` left there.

    What a living process, here or on another machine with the same file system, is writing stays.
    """
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        lock = FileLock(leftover / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        # Under another name before the lock goes: it may be new, and its process about to lock it.
        removed = leftover.with_name(f"{leftover.name}-removed")
        with contextlib.suppress(OSError):
            leftover.rename(removed)
        lock.release()
        shutil.rmtree(removed, ignore_errors=True)


def cache_folder(folder: Path | None = None) -> Path:
    """Folder of files that can be made again: `folder`, else $CONVERGAN_CACHE, else ~/.cache/convergan."""
    return Path(folder or os.environ.get("CONVERGAN_CACHE") or "~/.cache/convergan").expanduser()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power failure, where the system can sync a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lock_at_once(lock: FileLock, *, seconds: float = 0) -> bool:
    """Acquire a lock; false where another process holds it for so many seconds.

    On a file system that has no locks nothing is acquired, and it is true.

    Raises:
        OSError: the lock's file cannot be made.
    """
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _locked_folder(parent: Path) -> tuple[Path, FileLock]:
    """A new folder in `parent`, and the lock on it, acquired."""
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent))
        # Any thread may release it.
        lock = FileLock(folder / _LOCK, thread_local=False)
        try:
            locked = lock_at_once(lock, seconds=_LOCK_SECONDS)
        except FileNotFoundError:
            locked = False
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # Before it was locked, another process may have taken it for a leftover: then there is another try.
        if locked and folder.is_dir():
            return folder, lock
        lock.release()
    raise OSError(f"{parent}: expected to lock a new folder there, got none in {_ATTEMPTS} tries")
