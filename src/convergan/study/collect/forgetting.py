"""Deletion of participants, and of their identities."""

from sqlalchemy import delete, or_, select, text
from sqlalchemy.orm import Session

from convergan.errors import UserError
from convergan.study.storage.audit import note
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Identity, Participant, Token


def delete_participant(database: Database, code: str) -> bool:
    """Delete a participant with all answers; return whether there was one."""
    with database.writing() as session:
        participant = session.scalar(select(Participant).where(Participant.code == code))
        if participant is not None:
            note(session, "deleted", _anonymous(participant))
            _remove(session, participant.id, keep_votes=False)
    wipe(database)
    return participant is not None


def forget(database: Database, keys: Keys, participant: str, *, keep_votes: bool = False) -> str:
    """Delete a person's identity and, unless they are kept, the answers; return the participant's code.

    Args:
        database: the study's database.
        keys: the study's keys.
        participant: Prolific's PROLIFIC_PID or SESSION_ID, a personal link, or a participant's code.
        keep_votes: keep the answers, which then belong to nobody.

    Raises:
        UserError: there is no such participant; or other processes read the database, so that the traces in
            SQLite's journal cannot be removed now. The same call removes them once those have stopped.
    """
    identifier = participant.strip()
    link = identifier.rpartition("/")[2]
    with database.writing() as session:
        row = session.scalar(
            select(Participant)
            .outerjoin(Identity)
            .where(
                or_(
                    Participant.code == identifier,
                    Identity.person.in_(keys.hashed("person", text) for text in (identifier, link)),
                    Identity.submission == keys.hashed("submission", identifier),
                )
            )
        )
        code = None if row is None else row.code
        if row is not None:
            answers = "; the answers were kept" if keep_votes else ""
            note(session, "forgotten", _anonymous(row) + answers)
            _remove(session, row.id, keep_votes=keep_votes)
    # Even without a participant: an earlier call may have stopped after the deletion.
    wipe(database)
    if code is None:
        # Without the identifier itself: what is printed may be stored.
        raise UserError(
            "participant: expected the code, link or identifier of a participant, got one that is unknown or"
            f" already forgotten; {database} holds no traces of deleted participants"
        )
    return code


def _anonymous(participant: Participant) -> str:
    """Describe a deleted participant for the record: enough to count them, not to identify them."""
    state = participant.outcome or "not finished"
    simulated = "simulated, " if participant.simulated else ""
    return f"a participant of {participant.arm.name} ({simulated}{state})"


def _remove(session: Session, participant_id: int, *, keep_votes: bool) -> None:
    for table in (Identity, Token):
        session.execute(delete(table).where(table.participant_id == participant_id))
    if not keep_votes:
        session.execute(delete(Participant).where(Participant.id == participant_id))


def wipe(database: Database) -> None:
    """Remove the traces of deleted rows from the database's files.

    SQLite overwrites deleted rows with zeros; its journal, which still holds them, is emptied here. In
    PostgreSQL the table of identities is rewritten; its journal loses them when PostgreSQL reuses the space.

    Raises:
        UserError: other processes read SQLite's journal.
    """
    if not database.is_sqlite:
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as postgres:
            postgres.execute(text("VACUUM FULL identities"))
        return
    # Outside a transaction, in which SQLite refuses it.
    connection = database.engine.raw_connection()
    try:
        busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    if busy:
        raise UserError(
            f"{database}: deleted, but its journal could not be emptied while other processes read it;"
            " stop them and try again"
        )
