"""Votes are recorded exactly once, never changed, and in order."""

import http.client
import json
import math
import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from convergan.study.storage.schema import Participant, Trial, Vote
from studies import QUICK
from visitor import new_key

HOUR_MS = 3_600_000.0


def count_votes(study):
    with study.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Vote))


def session_cookie(participant):
    """Name and value of the session's cookie; the name differs from study to study."""
    return next(
        cookie for cookie in participant.cookies.items() if cookie[0].startswith("session-")
    )


def test_a_whole_session(served):
    participant = served.participant()
    state = participant.resume()
    assert (state["answered"], state["total"], state["trials"], state["practice"]) == (0, 9, 4, 2)
    assert [task["position"] for task in state["tasks"]] == [1, 2, 3, 4]
    participant.finish()
    state = participant.resume()
    assert state["finished"] and state["answered"] == 9 and state["tasks"] == []
    with served.study.database.reading() as session:
        (row,) = session.scalars(select(Participant)).all()
        assert row.outcome == "completed" and row.finished_at is not None
        votes = session.scalars(select(Vote).order_by(Vote.position)).all()
    assert [vote.position for vote in votes] == list(range(1, 10))
    assert {vote.response_ms for vote in votes} == {1000.5}


def test_the_truth_is_told_after_the_vote_and_only_where_it_is_to_be(make_study, serve):
    for feedback in ("none", "after-each"):
        study = make_study(QUICK.__class__(**{**QUICK.__dict__, "feedback": feedback}))
        participant = serve(study).participant()
        tasks = participant.resume()["tasks"]
        with study.database.reading() as session:
            truths = {t.position: t.generated for t in session.scalars(select(Trial))}
        while tasks:
            task = tasks[0]
            receipt = participant.vote(task["position"], task["asks"] or "real").json
            disclosed = task["kind"] == "practice" or (task["kind"], feedback) == (
                "trial",
                "after-each",
            )
            truth = "generated" if truths[task["position"]] else "real"
            assert receipt["truth"] == (truth if disclosed else None)
            tasks = receipt["tasks"]


def test_each_vote_five_times_at_once_is_one_vote(make_study, serve, backend):
    served = serve(make_study(backend=backend))
    participant = served.participant()
    name, token = session_cookie(participant)
    position, barrier = 1, threading.Barrier(5)
    tasks = participant.resume()["tasks"]
    while tasks:
        answer = {"position": position, "key": new_key(), "answer": tasks[0]["asks"] or "real"}
        answers = []

        def send(content=answer, replies=answers):
            visitor = served.visitor()
            visitor.cookies[name] = token
            barrier.wait(timeout=120)
            replies.append(visitor.post("/api/votes", content))

        threads = [threading.Thread(target=send) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert [reply.status for reply in answers] == [200] * 5
        assert len({reply.body for reply in answers}) == 1
        tasks = answers[0].json["tasks"]
        position += 1
    assert count_votes(served.study) == 9


def test_a_response_that_is_lost_is_given_again(served):
    participant = served.participant()
    content = {"position": 1, "key": new_key(), "answer": "real"}
    host = participant.address
    for _ in range(5):
        # Gone before the answer can arrive.
        connection = http.client.HTTPConnection(host)
        headers = {"Cookie": "=".join(session_cookie(participant))}
        headers["Content-Type"] = "application/json"
        connection.request("POST", "/api/votes", json.dumps(content), headers)
        connection.close()
    answers = {participant.post("/api/votes", content).body for _ in range(5)}
    assert len(answers) == 1 and count_votes(served.study) == 1
    # Also after the session has gone on.
    participant.vote(2, "real")
    assert participant.post("/api/votes", content).body in answers


@pytest.mark.parametrize(
    "change", [{"answer": "generated"}, {"key": "another" * 4}, {"position": 3}, {"position": 99}]
)
def test_a_conflicting_vote_gets_409_and_changes_nothing(served, change):
    participant = served.participant()
    content = {"position": 1, "key": new_key(), "answer": "real"}
    first = participant.post("/api/votes", content)
    assert participant.post("/api/votes", {**content, **change}).status == 409
    assert count_votes(served.study) == 1
    assert participant.post("/api/votes", content).body == first.body


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "both"},
        {"key": "short"},
        {"key": "k" * 65},
        {"position": 0},
        {"position": "one"},
        {"response_ms": -1},
        {"response_ms": math.nan},
        {"response_ms": math.inf},
        {"frame_ms": -math.inf},
        {"frames": 1.5},
    ],
)
def test_what_is_no_vote_is_refused(served, change):
    participant = served.participant()
    content = {"position": 1, "key": new_key(), "answer": "real", **change}
    assert participant.post("/api/votes", content).status == 422
    assert count_votes(served.study) == 0


def test_what_took_longer_than_a_session_can_is_brought_into_it(make_study, serve):
    """A tab that was open for more than a day, and a clock that has gone wrong."""
    served = serve(make_study(replace(QUICK, hours=48)))
    participant = served.participant()
    for position, (sent_ms, kept_ms) in enumerate(
        ((30 * HOUR_MS, 30 * HOUR_MS), (1e12, 48 * HOUR_MS)), 1
    ):
        content = {"position": position, "key": new_key(), "answer": "real", "response_ms": sent_ms}
        assert participant.post("/api/votes", content).status == 200
        with served.study.database.reading() as session:
            assert session.get_one(Vote, (1, position)).response_ms == kept_ms


def test_nobody_votes_without_a_session(served):
    stranger = served.visitor()
    for path in ("/api/resume", "/api/votes", "/api/show"):
        content = {"position": 1, "key": new_key(), "answer": "real"}
        assert stranger.post(path, content).status == 401
    stranger.cookies["session"] = "made-up"
    assert stranger.post("/api/votes", content).status == 401


def test_two_missed_checks_are_too_many_and_one_is_not(served):
    for missed, outcome in ((0, "completed"), (1, "completed"), (2, "attention"), (3, "attention")):
        participant = served.participant()
        tasks, left = participant.resume()["tasks"], missed
        while tasks:
            requested = tasks[0]["asks"]
            answer = requested or "real"
            if requested and left:
                answer = "real" if requested == "generated" else "generated"
                left -= 1
            tasks = participant.vote(tasks[0]["position"], answer).json["tasks"]
        with served.study.database.reading() as session:
            last = select(Participant).order_by(Participant.id.desc()).limit(1)
            assert session.scalars(last).one().outcome == outcome


def test_a_session_expires(served):
    participant = served.participant()
    with served.study.database.writing() as session:
        session.scalars(select(Participant)).one().expires_at = 0
    assert participant.vote(1, "real").status == 401
    assert "time for this session has run out" in participant.get("/study").text
