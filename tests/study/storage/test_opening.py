"""Opening studies, and refusing other databases."""

import sqlite3
import time
from contextlib import closing

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from convergan.errors import UserError
from convergan.study.storage.database import Database
from convergan.study.storage.migrations import downgrade, known_revisions, revision_of
from convergan.study.storage.opening import open_study


def test_what_is_no_study_is_named(tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one" * 20)
    sqlite3.connect(tmp_path / "empty.db").close()
    for name, expected in (
        ("absent.db", r"absent\.db: expected a study, got nothing there"),
        ("text.db", r"text\.db: expected a study, got a file that is no database"),
        ("empty.db", r"empty\.db: expected a study, got a database without one"),
    ):
        with pytest.raises(UserError, match=expected):
            open_study(str(tmp_path / name))
    for url in ("mysql://me@host/db", "nonsense://", "sqlite:///x.db"):
        with pytest.raises(UserError, match=r"study: expected a file or postgresql://"):
            Database(url)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path):
    url = f"postgresql://me:secret@/none?host={tmp_path}"
    with pytest.raises(UserError, match=r"expected a database, got none: .*connection") as error:
        open_study(url)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_older_tables_are_brought_up_to_date_and_newer_ones_refused(make_study, backend):
    study = make_study(backend=backend)
    with study.database.writing() as session:
        downgrade(session.connection(), "0001")
    with open_study(study.location).reading() as session:
        assert revision_of(session.connection()) == known_revisions()[0]
    with study.database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=r"revision 0004 or older, got 9999: a newer convergan"):
        open_study(study.location)


def test_sqlite_is_set_to_lose_nothing(make_study):
    with make_study().database.reading() as session:
        for pragma, expected in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("secure_delete", 1),
        ):
            assert session.scalar(text(f"PRAGMA {pragma}")) == expected, pragma


def test_a_writer_locks_before_it_reads(make_study):
    """A second writer waits at BEGIN IMMEDIATE, instead of failing because it has read old rows."""
    study = make_study()
    with study.database.writing() as writer:
        writer.execute(text("SELECT 1"))
        connection = sqlite3.connect(study.location, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            connection.execute("BEGIN IMMEDIATE")
        # A reader does not.
        with study.database.reading() as session:
            assert session.scalar(text("SELECT count(*) FROM study")) == 1
        connection.close()


def test_a_writer_waits_for_another_process_and_not_for_ever(make_study, monkeypatch):
    study = make_study()
    tries, naps, finished = [], [], []

    @event.listens_for(study.database.engine, "before_cursor_execute")
    def note(_conn, _cursor, statement, *_arguments):
        tries.append(statement)
        if tries.count("BEGIN IMMEDIATE") == 21 and not finished:
            finished.append(True)
            connection.execute("COMMIT")

    def nap(seconds):
        naps.append(seconds)
        sleep(seconds)

    sleep = time.sleep
    monkeypatch.setattr("convergan.study.storage.database.time.sleep", nap)

    def change():
        with study.database.writing() as session:
            session.execute(text("UPDATE study SET paused = 1 - paused"))

    with closing(sqlite3.connect(study.location, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        change()
        assert tries.count("BEGIN IMMEDIATE") == 21
        # Left to itself, SQLite sleeps for 100 ms before most of its tries.
        assert tries[0] == "PRAGMA busy_timeout = 0" and "busy_timeout" not in "".join(tries[1:21])
        assert len(naps) == 20 and max(naps) < 0.01
        monkeypatch.setattr("convergan.study.storage.database._BUSY_SECONDS", 0.1)
        connection.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with pytest.raises(OperationalError, match="locked"):
            change()
        # Less than without the shorter patience, however busy the machine is.
        assert time.monotonic() - start < 25
    # What may be busy later, a checkpoint, has SQLite's own patience.
    with study.database.reading() as session:
        assert session.scalar(text("PRAGMA busy_timeout")) == 100
    change()
