"""Opening the database of a study that exists."""

from pathlib import Path

from sqlalchemy.exc import DatabaseError, OperationalError

from convergan.errors import UserError, one_line, shortened
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys, read_key_file
from convergan.study.storage.migrations import known_revisions, revision_of, upgrade
from convergan.study.storage.schema import Study


def open_study(location: str) -> Database:
    """Open the database of a study; upgrade the tables of an older version.

    Args:
        location: file or URL, as for `Database`.

    Raises:
        UserError: there is no study, it cannot be reached, or a newer version of this package made it.
    """
    database = Database(location, existing=True)
    if database.is_sqlite and not Path(str(database)).is_file():
        raise UserError(f"{location}: expected a study, got nothing there (study create makes one)")
    revisions = known_revisions()
    try:
        with database.writing() as session:
            revision = revision_of(session.connection())
            if revision in revisions[1:]:
                upgrade(session.connection())
    except OperationalError as error:
        raise UserError(
            f"{database}: expected a database, got none: {one_line(error.orig)}"
        ) from None
    except DatabaseError:
        raise UserError(f"{database}: expected a study, got a file that is no database") from None
    if revision is None:
        raise UserError(f"{database}: expected a study, got a database without one")
    if revision not in revisions:
        raise UserError(
            f"{database}: expected tables of revision {revisions[0]} or older, got"
            f" {shortened(str(revision))}: a newer convergan made them"
        )
    return database


def open_with_keys(location: str, key_file: Path) -> tuple[Database, Keys]:
    """Open the database of a study, and read its keys.

    Args:
        location: file or URL, as for `Database`.
        key_file: file with the study's secrets.

    Raises:
        UserError: see `open_study` and `read_key_file`; or the keys belong to another study: links signed
            with them would lead nowhere, and nobody would be recognized.
    """
    database = open_study(location)
    try:
        keys = read_key_file(key_file)
        with database.reading() as session:
            own = session.get_one(Study, 1).key_fingerprint
        if own not in (None, keys.fingerprint):
            raise UserError(
                f"{key_file}: expected the keys of {database}, got those of another study"
            )
    except BaseException:
        database.close()
        raise
    return database, keys
