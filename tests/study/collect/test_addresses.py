"""Images are readable in their own session, at their own time, and nowhere else."""

import pytest
from sqlalchemy import select

from convergan.study.collect.tasks import AHEAD
from convergan.study.storage.schema import Participant, Trial


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_addresses_from_other_sessions_are_not_readable(served, count):
    # More sessions than it takes for so many addresses of images.
    participants = [served.participant() for _ in range(count // 6 + 3)]
    with served.study.database.reading() as session:
        has_image = select(Trial).where(Trial.image_id.is_not(None))
        own = session.scalars(has_image.where(Trial.participant_id == 1)).all()
        other_trials = session.scalars(has_image.where(Trial.participant_id != 1)).all()
    assert len(other_trials) >= count
    statuses = set()
    for number, trial in enumerate(other_trials):
        # Spread over some sessions, which may each ask only so often.
        visitor = participants[number % 10 if number % 10 != trial.participant_id - 1 else 10]
        answer = visitor.get(f"/image/{trial.address}")
        statuses.add(answer.status)
        assert b"PNG" not in answer.body
    assert statuses <= {404, 429} and 404 in statuses
    assert participants[0].get(f"/image/{own[0].address}").status == 200


def test_nobody_without_a_session_sees_an_image(served):
    image = served.participant().resume()["tasks"][0]["image"]
    stranger = served.visitor()
    assert stranger.get(image).status == 404
    stranger.cookies["session"] = "guessed"
    assert stranger.get(image).status == 404


def test_images_are_there_from_shortly_before_their_turn_until_their_vote(served):
    participant = served.participant()
    participant.resume()
    with served.study.database.reading() as session:
        trials = session.scalars(select(Trial).order_by(Trial.position)).all()
    for current in trials:
        readable = [
            trial.position
            for trial in trials
            if trial.image_id and participant.get(f"/image/{trial.address}").status == 200
        ]
        expected = [
            trial.position
            for trial in trials
            if trial.image_id and current.position <= trial.position <= current.position + AHEAD
        ]
        assert readable == expected
        truth = "generated" if current.generated else "real"
        participant.vote(current.position, truth)


def test_an_address_ends_with_its_session(served):
    participant = served.participant()
    image = participant.resume()["tasks"][0]["image"]
    assert participant.get(image).status == 200
    with served.study.database.writing() as session:
        session.scalars(select(Participant)).one().expires_at = 1
    assert participant.get(image).status == 404


@pytest.mark.parametrize("address", ["x", "a" * 22, "..%2f..%2fstudy.db", "%00", "1"])
def test_addresses_cannot_be_made_up(served, address):
    participant = served.participant()
    assert participant.get(f"/image/{address}").status == 404


def test_every_answer_with_an_image_has_the_same_headers(served):
    headers = []
    for _ in range(5):
        participant = served.participant()
        tasks = participant.resume()["tasks"]
        while tasks:
            for task in tasks:
                if task["image"]:
                    answer = participant.get(task["image"])
                    del answer.headers["date"]
                    headers.append(tuple(answer.headers.items()))
            tasks = participant.vote(tasks[0]["position"], tasks[0]["asks"] or "real").json["tasks"]
    assert len(headers) > 50 and len(set(headers)) == 1
    shared = dict(headers[0])
    assert shared["cache-control"] == "no-store, no-transform"
    assert (
        "etag" not in shared
        and "last-modified" not in shared
        and "content-disposition" not in shared
    )


def test_what_no_database_takes_is_no_mistake_of_the_server(make_study, serve, backend, capfd):
    participant = serve(make_study(backend=backend)).participant()
    # PostgreSQL's text holds no zero byte.
    assert participant.get("/image/%00").status in (404, 409)
    assert capfd.readouterr().err == ""
