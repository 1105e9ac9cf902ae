"""Forgetting a person: no byte of an identifier is left, neither as it was nor hashed."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from convergan.errors import UserError
from convergan.study.collect.entry import new_link
from convergan.study.collect.forgetting import delete_participant, forget
from convergan.study.storage.database import Database
from convergan.study.storage.schema import Identity, Participant, Token, Vote
from studies import prolific_path

PID, VISIT, PLATFORM_STUDY = "5f3a9c2e1b7d4e6f8a0b1c2d", "66visit66visit66", "77study77study77"


def come_from_prolific(served, pid=PID, visit=VISIT):
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, pid, visit, PLATFORM_STUDY))
    visitor.submit("/consent", {"agree": "yes"})
    return visitor


def bytes_of(study):
    """Bytes of all files of SQLite: the database, its journal, the index of the journal."""
    files = sorted(Path(study.location).parent.glob(Path(study.location).name + "*"))
    assert len(files) >= 2
    return b"".join(file.read_bytes() for file in files)


def count(study, table):
    with study.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


@pytest.mark.parametrize("participant", [PID, VISIT])
@pytest.mark.parametrize("keep_votes", [False, True])
def test_no_byte_of_an_identifier_is_left(served, capfd, participant, keep_votes):
    study = served.study
    come_from_prolific(served).finish()
    hashes = [
        study.keys.hashed(kind, identifier).encode()
        for kind, identifier in (("person", PID), ("submission", VISIT))
    ]
    assert all(digest in bytes_of(study) for digest in hashes)
    # The server goes on meanwhile.
    bystander = served.participant()
    forget(study.database, study.keys, participant, keep_votes=keep_votes)
    left = bytes_of(study)
    for identifier in (PID, VISIT, PLATFORM_STUDY):
        assert identifier.encode() not in left
    assert not any(digest in left for digest in hashes)
    assert count(study, Vote) == (9 if keep_votes else 0)
    assert count(study, Identity) == count(study, Token) == 1
    bystander.finish()
    printed = capfd.readouterr()
    assert PID not in printed.out + printed.err


@pytest.mark.xdist_group("postgresql")
def test_postgresql_too(make_study, serve):
    study = make_study(backend="postgresql")
    served = serve(study)
    come_from_prolific(served).finish()
    come_from_prolific(served, "another", "visit").finish()
    forget(study.database, study.keys, PID)
    assert count(study, Identity) == 1 and count(study, Vote) == 9
    with study.database.reading() as session:
        person = session.scalars(select(Identity.person)).one()
    assert person == study.keys.hashed("person", "another")


def test_someone_forgotten_is_someone_new(served):
    come_from_prolific(served).finish()
    forget(served.study.database, served.study.keys, PID, keep_votes=True)
    visitor = come_from_prolific(served)
    assert visitor.resume()["answered"] == 0
    assert count(served.study, Participant) == 2


def test_people_are_named_by_link_or_by_code_too(served):
    study = served.study
    link = new_link(study.keys, "personal")
    served.visitor().join(link)
    code = forget(study.database, study.keys, f"https://study.example.org/join/{link}")
    assert count(study, Participant) == 0 and len(code) == 8
    served.participant()
    with study.database.reading() as session:
        code = session.scalars(select(Participant.code)).one()
    assert forget(study.database, study.keys, f" {code}\n") == code
    assert count(study, Participant) == 0


def test_a_stranger_cannot_be_forgotten_and_is_not_repeated(served):
    served.participant()
    with pytest.raises(UserError, match="participant: expected the code, link") as error:
        forget(served.study.database, served.study.keys, "someone-else")
    assert "someone-else" not in str(error.value)
    assert count(served.study, Participant) == 1


def test_a_reader_of_the_journal_is_waited_for_and_then_named(make_study, serve, monkeypatch):
    monkeypatch.setattr("convergan.study.storage.database._BUSY_SECONDS", 0.2)
    study = make_study()
    served = serve(study)
    served.participant()
    with study.database.reading() as session:
        code = session.scalars(select(Participant.code)).one()
        served.participant()
        with pytest.raises(
            UserError, match="journal could not be emptied while other processes read"
        ):
            delete_participant(study.database, code)
    # The participant is deleted, and the next time the journal goes too.
    assert not delete_participant(study.database, code)
    assert code.encode() not in bytes_of(study)


def test_forgetting_again_removes_what_a_busy_journal_kept(served, monkeypatch):
    study = served.study
    come_from_prolific(served).finish()
    hashed = study.keys.hashed("person", PID).encode()
    # The server's connections wait longer; this one belongs to the command.
    monkeypatch.setattr("convergan.study.storage.database._BUSY_SECONDS", 0.2)
    database = Database(study.location)
    with study.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Identity)) == 1
        with pytest.raises(UserError, match="stop them and try again"):
            forget(database, study.keys, PID)
    assert hashed in bytes_of(study)
    with pytest.raises(UserError, match=r"or already forgotten; .* holds no traces") as error:
        forget(database, study.keys, PID)
    assert PID not in str(error.value)
    database.close()
    assert hashed not in bytes_of(study)
