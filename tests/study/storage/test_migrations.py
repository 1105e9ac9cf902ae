"""Versions of the tables: up, down and up again keep every vote, and end with the models' tables."""

from itertools import product

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import DatabaseError

from convergan.study.storage.database import Database
from convergan.study.storage.migrations import downgrade, known_revisions, revision_of, upgrade
from convergan.study.storage.schema import (
    Arm,
    Base,
    Image,
    Participant,
    SeenImage,
    Study,
    Trial,
    Vote,
)

PEOPLE = 20


@pytest.fixture
def database(backend, tmp_path, request):
    location = str(tmp_path / "votes.db")
    if backend == "postgresql":
        location = request.getfixturevalue("postgres")()
    database = Database(location)
    yield database
    database.close()


def fill(database, people=PEOPLE, trials=10):
    """Fill the tables with votes, each different."""
    with database.writing() as session:
        upgrade(session.connection())
        session.add(Arm(id=1, name="a", images="random", feedback=False))
        session.add(
            Image(id=1, images="real", name="1", generated=False, practice=False, content=b"x")
        )
        session.flush()
        session.execute(
            insert(Participant),
            [
                {
                    "id": person, "code": f"P{person}", "arm_id": 1, "place": person,
                    "way": "personal", "simulated": False, "started_at": 1.5, "seen_at": 2.5,
                    "expires_at": 3.5,
                }
                for person in range(1, people + 1)
            ],
        )  # fmt: skip
        places = list(product(range(1, people + 1), range(1, trials + 1)))
        session.execute(
            insert(Trial),
            [
                {
                    "participant_id": person, "position": position, "kind": "trial",
                    "number": position, "generated": position % 2 == 0, "image_id": 1,
                    "address": f"{person}-{position}",
                }
                for person, position in places
            ],
        )  # fmt: skip
        session.execute(
            insert(Vote),
            [
                {
                    "participant_id": person, "position": position, "key": f"{person}-{position}",
                    "answered_generated": (person + position) % 3 == 0, "shown_ms": 499.9,
                    "response_ms": person + position / 7, "recorded_at": 1e9 + position / 3,
                }
                for person, position in places
            ],
        )  # fmt: skip


def votes(database):
    with database.reading() as session:
        columns = "participant_id, position, key, answered_generated, response_ms, recorded_at"
        query = text(f"SELECT {columns} FROM votes ORDER BY participant_id, position")
        return session.execute(query).all()


def test_up_down_up_keeps_10_000_votes(database):
    fill(database, people=100, trials=100)
    original = votes(database)
    assert len(original) == 10_000
    with database.writing() as session:
        downgrade(session.connection(), "0001")
        assert revision_of(session.connection()) == "0001"
        columns = [column["name"] for column in inspect(session.connection()).get_columns("votes")]
        assert "shown_ms" not in columns
    assert votes(database) == original
    with database.writing() as session:
        upgrade(session.connection())
        assert revision_of(session.connection()) == known_revisions()[0]
    assert votes(database) == original
    # What keeps votes from being changed is still there.
    with (
        pytest.raises(DatabaseError, match="votes are never changed"),
        database.writing() as session,
    ):
        session.execute(text("UPDATE votes SET answered_generated = NOT answered_generated"))
    assert votes(database) == original


def test_all_the_way_down_leaves_nothing(database):
    fill(database)
    with database.writing() as session:
        downgrade(session.connection(), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    with database.writing() as session:
        upgrade(session.connection())
    assert votes(database) == []


def test_an_existing_study_gets_a_secret_and_counts_what_was_replaced(database):
    fill(database)
    with database.writing() as session:
        session.add(a_study())
        session.add(
            Image(id=2, images="real", name="2", generated=False, practice=True, content=b"y")
        )
        session.flush()
        for person, image in ((7, 1), (7, 2), (8, 2)):
            session.add(SeenImage(participant_id=person, image_id=image))
    original = votes(database)
    secrets = []
    for _ in range(2):
        with database.writing() as session:
            downgrade(session.connection(), "0002")
            names = [
                column["name"] for column in inspect(session.connection()).get_columns("study")
            ]
            assert names[-1] == "created_at"
        with database.writing() as session:
            upgrade(session.connection())
        with database.reading() as session:
            study = session.get_one(Study, 1)
            people = session.scalars(select(Participant).order_by(Participant.id)).all()
        assert (study.plan, study.codes, study.sign_outs) == ({"trials": 4}, {"full": "X"}, 0)
        assert {
            participant.id: participant.replaced_images
            for participant in people
            if participant.replaced_images
        } == {7: 1}
        secrets.append(study.order_secret)
    assert len(set(secrets)) == 2 and all(len(secret) == 43 for secret in secrets)
    assert votes(database) == original


def a_study():
    return Study(
        id=1, plan={"trials": 4}, codes={"full": "X"}, size_px=8, content_length=1, quota=1,
        paused=False, created_at=1.5, order_secret="old",
    )  # fmt: skip


def test_the_newest_tables_are_the_models(database):
    with database.writing() as session:
        upgrade(session.connection())
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_votes_go_only_with_their_participant(database):
    fill(database)
    count = len(votes(database))
    with pytest.raises(DatabaseError, match="only with their participant"):  # noqa: SIM117
        with database.writing() as session:
            session.execute(text("DELETE FROM votes WHERE participant_id = 7"))
    assert len(votes(database)) == count > 0
    with database.writing() as session:
        session.execute(text("DELETE FROM participants WHERE id = 7"))
        assert session.scalars(select(Trial).where(Trial.participant_id == 7)).all() == []
    assert {row.participant_id for row in votes(database)} == set(range(1, PEOPLE + 1)) - {7}
