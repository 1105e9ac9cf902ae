"""Database of a study: an SQLite file, or PostgreSQL by URL."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, OperationalError
from sqlalchemy.orm import Session

from convergan.errors import UserError

_BUSY_SECONDS = 30
_TRY_AGAIN_SECONDS = 0.001
_CONNECT_SECONDS = 5


class Database:
    """Database of one study, and transactions on it."""

    def __init__(self, location: str, *, existing: bool = False) -> None:
        """Prepare to connect; the first transaction connects.

        Args:
            location: path of an SQLite file, or a URL, postgresql://user:password@host/name.
            existing: expect an existing database. A missing file is not created, and the files that SQLite
                keeps next to it are not touched.

        Raises:
            UserError: the URL is of another kind.
        """
        self.url = _url(location)
        self.engine = _engine(self.url, existing=existing)
        self._writer = self.engine.execution_options(writes=True)
        # SQLite has one writer at a time. Threads of this process take turns here, where waiting costs
        # nothing; processes try repeatedly (`_begin_writing`).
        self._turn: AbstractContextManager[Any] = (
            threading.Lock() if self.is_sqlite else nullcontext()
        )

    def __str__(self) -> str:
        """Return the file, or the URL without its password."""
        return self.url.database or "" if self.is_sqlite else self.url.render_as_string()

    @property
    def is_sqlite(self) -> bool:
        """Return whether the database is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a transaction that writes; after a block without errors, its changes are on the disk."""
        with (
            self._turn,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _url(location: str) -> URL:
    if "://" not in location:
        return URL.create("sqlite", database=str(Path(location).expanduser()))
    try:
        url = make_url(location)
    except ArgumentError:
        url = None
    if url is None or url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        kind = location.split("://")[0]
        raise UserError(f"study: expected a file or postgresql://user@host/name, got {kind}://...")
    return url.set(drivername="postgresql+psycopg")


def _engine(url: URL, *, existing: bool) -> Engine:
    # Error messages must not show what was sent to the database.
    if url.get_backend_name() != "sqlite":
        # Connections that a restarted server has closed are replaced unnoticed.
        return create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
        )
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "do_connect")
    def require_file(*_: object) -> None:
        if existing and _file_of(url) is None:
            raise sqlite3.OperationalError("the file is gone")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        # Otherwise Python's driver begins transactions by itself.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        # A new file exists by now.
        record.info["file"] = _file_of(url)

    @event.listens_for(engine, "checkout")
    def require_same_file(_: Any, record: Any, __: object) -> None:
        # A file that was removed, or replaced by a backup, would keep taking votes that nobody finds again.
        if record.info["file"] != _file_of(url):
            raise DisconnectionError(f"{url.database}: the file has been replaced")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writes"):
            _begin_writing(connection)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _file_of(url: URL) -> tuple[int, int] | None:
    """Identify the database file by device and inode; None without a file."""
    try:
        status = os.stat(url.database or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _begin_writing(connection: Connection) -> None:
    """Begin as soon as no other process writes; SQLite itself would sleep for up to 100 ms at a time."""
    end = time.monotonic() + _BUSY_SECONDS
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if not _is_busy(error.orig) or time.monotonic() > end:
                    raise
            time.sleep(_TRY_AGAIN_SECONDS)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * _BUSY_SECONDS)}")


def _is_busy(error: BaseException | None) -> bool:
    # The lower byte is the kind of error, the higher one its variety.
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
