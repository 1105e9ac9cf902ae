"""A temporary PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path


class NoPostgreSQL(Exception):
    """PostgreSQL is not installed; the message says what to install."""


@contextmanager
def postgres_server(*settings: str) -> Iterator[Callable[[], str]]:
    """Start a server; yield a function that makes an empty database and returns its URL.

    Args:
        settings: settings as in postgresql.conf, such as `fsync=off`.

    Raises:
        NoPostgreSQL: PostgreSQL is not installed.
    """
    programs = _programs()
    # PostgreSQL does not run as root, and root's folders are closed to others.
    user = "postgres" if os.getuid() == 0 else None
    # Its socket's path must be short, and without blanks.
    usual = tempfile.gettempdir()
    parent = usual if len(usual) < 60 and " " not in usual else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="convergan-postgres-", dir=parent))
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *words: object) -> None:
        command = [str(word) for word in (programs / program, *words)]
        subprocess.run(command, check=True, user=user, cwd=folder, capture_output=True, timeout=120)

    numbers = count()

    def make() -> str:
        name = f"study{next(numbers)}"
        run("createdb", "-h", folder, "-U", "convergan", name)
        return f"postgresql://convergan@/{name}?host={folder}"

    try:
        run("initdb", "-D", data, "--auth=trust", "-U", "convergan", "--no-sync", "-E", "UTF8")
        flags = " ".join(f"-c {setting}" for setting in ("listen_addresses=", *settings))
        options = f"-k {folder} {flags}"
        run("pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield make
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of its programs; Debian keeps most of them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if folders:
        return folders[0]
    program = shutil.which("initdb")
    if program is None:
        raise NoPostgreSQL("PostgreSQL is not on this machine (Debian: apt-get install postgresql)")
    return Path(program).resolve().parent
