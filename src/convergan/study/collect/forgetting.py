"""Deleting participants, and forgetting who they were."""

from sqlalchemy import delete, or_, select, text
from sqlalchemy.orm import Session

from convergan.errors import UserError
from convergan.study.storage.audit import note
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Identity, Participant, Token


def delete_participant(database: Database, code: str) -> bool:
    """Deletes a participant with everything of theirs, votes included; gives whether there was one."""
    with database.writing() as session:
        found = session.scalar(select(Participant).where(Participant.code == code))
        if found is not None:
            note(session, "deleted", _anonymous(found))
            _remove(session, found.id, keep_votes=False)
    wipe(database)
    return found is not None


def forget(database: Database, keys: Keys, participant: str, *, keep_votes: bool = False) -> str:
    """Forgets a person: who they were, and unless told otherwise what they answered; gives their code.

    Args:
        database: of the study.
        keys: the study's.
        participant: Prolific's PROLIFIC_PID or SESSION_ID, a personal link, or a participant's code.
        keep_votes: keep the answers, which then belong to nobody.

    Raises:
        UserError: nobody is known by that; or others keep reading from the database, so that the traces in
            SQLite's journal cannot be removed now: once they have stopped, the same call removes them.
    """
    named = participant.strip()
    link = named.rpartition("/")[2]
    with database.writing() as session:
        found = session.scalar(
            select(Participant)
            .outerjoin(Identity)
            .where(
                or_(
                    Participant.code == named,
                    Identity.person.in_(keys.hashed("person", each) for each in (named, link)),
                    Identity.submission == keys.hashed("submission", named),
                )
            )
        )
        code = None if found is None else found.code
        if found is not None:
            kept = "; the answers were kept" if keep_votes else ""
            note(session, "forgotten", _anonymous(found) + kept)
            _remove(session, found.id, keep_votes=keep_votes)
    # Also if nobody was found: an earlier call may have come as far as here, and no further.
    wipe(database)
    if code is None:
        # The identifier itself must not stand in what is printed, which may be kept.
        raise UserError(
            "participant: expected a code, a link or an identifier of one who took part, got another or one"
            f" forgotten before; {database} holds no traces of deleted ones"
        )
    return code


def _anonymous(participant: Participant) -> str:
    """What the record keeps of one who is deleted: enough to count them, not to tell who it was."""
    state = participant.outcome or "not finished"
    simulated = "simulated, " if participant.simulated else ""
    return f"a participant of {participant.arm.name} ({simulated}{state})"


def _remove(session: Session, participant_id: int, *, keep_votes: bool) -> None:
    for table in (Identity, Token):
        session.execute(delete(table).where(table.participant_id == participant_id))
    if not keep_votes:
        session.execute(delete(Participant).where(Participant.id == participant_id))


def wipe(database: Database) -> None:
    """Removes what deleted rows have left in the database's files.

    SQLite overwrites deleted rows with zeros; its journal, which still has them, is emptied here. PostgreSQL
    rewrites the table of identities; its own journal goes when PostgreSQL reuses it.

    Raises:
        UserError: others keep reading from SQLite's journal.
    """
    if not database.is_sqlite:
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as postgres:
            postgres.execute(text("VACUUM FULL identities"))
        return
    # Not through a transaction, in which SQLite refuses it.
    connection = database.engine.raw_connection()
    try:
        busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    if busy:
        raise UserError(
            f"{database}: deleted, but its journal could not be emptied while others read from it;"
            " stop them and do the same once more"
        )
