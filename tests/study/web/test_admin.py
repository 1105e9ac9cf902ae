"""The researcher's page: who gets in, what it shows, what it changes."""

import re
import time
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from convergan.errors import UserError
from convergan.study.collect.bots import run_bot
from convergan.study.storage.schema import Participant, Study, Vote
from studies import QUICK


@pytest.fixture
def researcher(served):
    visitor = served.visitor()
    answer = visitor.submit("/admin/login", {"token": served.study.keys.admin_token})
    assert answer.status == 303 and answer.headers["location"] == "/admin"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/admin" in cookie
    return visitor


def form_token(page):
    return re.findall(r'name="form_token" value="([0-9a-f]{64})"', page)[0]


def act(visitor, path, **fields):
    token = form_token(visitor.get("/admin").text)
    return visitor.submit(path, {"form_token": token, **fields})


def study_row(served):
    with served.study.database.reading() as session:
        return session.get_one(Study, 1)


ACTIONS = [
    ("/admin/paused", {"paused": "yes"}),
    ("/admin/quota", {"quota": "7"}),
    ("/admin/delete", {"code": "X"}),
    ("/admin/logout", {}),
]


def test_nobody_gets_in_without_the_token(served):
    visitor = served.visitor()
    for path in ("/admin", "/admin/delete/X"):
        answer = visitor.get(path)
        assert answer.status == 303 and answer.headers["location"] == "/admin/login"
    for path, fields in ACTIONS:
        assert visitor.submit(path, fields).headers["location"] == "/admin/login"
    for token in ("", "wrong", served.study.keys.admin_token[:-1]):
        answer = visitor.submit("/admin/login", {"token": token})
        assert answer.status == 403 and "not the study" in answer.text
    keys = served.study.keys
    for cookie in (
        "x",
        "0-ab.",
        keys.signed("admin", "0-ab"),
        keys.signed_with_time("entry", "0-ab"),
    ):
        visitor.cookies["admin"] = cookie
        assert visitor.get("/admin").status == 303
    assert study_row(served).quota == QUICK.participants and not study_row(served).paused


@pytest.mark.parametrize(("path", "fields"), ACTIONS)
def test_a_form_needs_the_token_of_its_own_session(served, researcher, path, fields):
    colleague = served.visitor()
    colleague.submit("/admin/login", {"token": served.study.keys.admin_token})
    foreign = form_token(colleague.get("/admin").text)
    for token in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": foreign}):
        assert researcher.submit(path, {**fields, **token}).status == 403
    assert study_row(served).quota == QUICK.participants and not study_row(served).paused


def test_signing_in_ends(served, researcher, monkeypatch):
    assert researcher.get("/admin").status == 200
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 12 * 3600 - 60)
    assert researcher.get("/admin").status == 200
    monkeypatch.setattr("time.time", lambda: now + 12 * 3600 + 60)
    assert researcher.get("/admin").status == 303


def test_signing_out_ends_every_session_on_the_server(served, researcher):
    copied, elsewhere = served.visitor(), served.visitor()
    copied.cookies.update(researcher.cookies)
    elsewhere.submit("/admin/login", {"token": served.study.keys.admin_token})
    form = form_token(copied.get("/admin").text)
    act(researcher, "/admin/logout")
    for visitor in (copied, elsewhere):
        assert visitor.get("/admin").status == 303
    answer = copied.submit("/admin/paused", {"form_token": form, "paused": "yes"})
    assert answer.headers["location"] == "/admin/login" and not study_row(served).paused
    researcher.submit("/admin/login", {"token": served.study.keys.admin_token})
    assert researcher.get("/admin").status == 200
    old = served.study.keys.signed_with_time("admin", "0-0123456789abcdef")
    copied.cookies["admin"] = old
    assert copied.get("/admin").status == 303


def test_signing_out(researcher):
    answer = act(researcher, "/admin/logout")
    assert answer.headers["location"] == "/admin/login"
    assert re.match(r'admin-[0-9a-f]{12}="";', answer.headers["set-cookie"])
    assert researcher.get("/admin").status == 303


def test_pause_and_quota(served, researcher):
    assert act(researcher, "/admin/paused", paused="yes").status == 303
    assert study_row(served).paused and "Paused" in researcher.get("/admin").text
    act(researcher, "/admin/paused", paused="no")
    assert not study_row(served).paused
    act(researcher, "/admin/quota", quota="7")
    assert study_row(served).quota == 7
    for wrong in ("0", "-1", "many", "", "1000000"):
        assert act(researcher, "/admin/quota", quota=wrong).status == 422
    assert study_row(served).quota == 7


def rows(page):
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip()
        for row in re.findall(r"<tr.*?</tr>", page, flags=re.S)
    ]


def test_progress_by_arm_and_by_participant(make_study, serve):
    served = serve(make_study(replace(QUICK, participants=5, feedback="both")))
    for _ in range(2):
        served.participant().finish()
    served.participant().vote(1, "real")
    run_bot(served.study.database)
    researcher = served.visitor()
    researcher.submit("/admin/login", {"token": served.study.keys.admin_token})
    table = rows(researcher.get("/admin").text)
    arms = sorted(row for row in table if row.startswith("random, ") and " of 5 " in row)
    assert [row.split("1 of 5")[1].split() for row in arms if "1 of 5 1" in row] == [
        ["1", "0", "0", "0"]
    ]
    assert len([row for row in arms if "1 of 5 0" in row]) == 1
    assert len([row for row in table if "personal" in row and "completed 9 of 9 0" in row]) == 2
    assert len([row for row in table if "personal" in row and "under way 1 of 9 0" in row]) == 1
    bots = [row for row in table if "bot" in row]
    assert len(bots) == 1 and bots[0].startswith("SIMULATED-")


def test_careless_participants_are_flagged(make_study, serve):
    served = serve(make_study(replace(QUICK, trials=20, longest_run=10, fastest_ms=1100)))
    served.participant().finish()
    researcher = served.visitor()
    researcher.submit("/admin/login", {"token": served.study.keys.admin_token})
    page = researcher.get("/admin").text
    table = rows(page)
    (person,) = [row for row in table if "personal" in row]
    assert person.endswith("0 response time, same answer, leaning Delete")
    (arm,) = [row for row in table if row.startswith("random ")]
    assert arm.endswith("1 of 1,000 0 0 0 1")
    assert "flagged as careless if the median response time is below 1.1 s;" in page


def test_replaced_images_are_shown_where_there_can_be_some(make_study, serve):
    for exposure in ("timed", "unlimited"):
        served = serve(make_study(replace(QUICK, exposure=exposure)))
        served.participant()
        with served.study.database.writing() as session:
            session.scalars(select(Participant)).one().replaced_images = 17
        researcher = served.visitor()
        researcher.submit("/admin/login", {"token": served.study.keys.admin_token})
        page = researcher.get("/admin").text
        (row,) = [row for row in rows(page) if "personal" in row]
        assert (">replaced</th>" in page) == (exposure == "timed")
        assert row.startswith(tuple("23456789ABCDEFGHJKMNPQRSTUVWXYZ"))
        assert ("of 9 0 – 17" in row) == (exposure == "timed")


def test_a_busy_journal_is_said_when_a_participant_is_deleted(served, researcher, monkeypatch):
    def refuse(*_):
        raise UserError("study.db: deleted, but its journal could not be emptied")

    monkeypatch.setattr("convergan.study.web.admin.delete_participant", refuse)
    answer = act(researcher, "/admin/delete", code="X")
    assert answer.status == 503 and "its journal could not be emptied" in answer.text


def test_a_participant_is_deleted_with_all_votes_after_a_question(served, researcher):
    served.participant().finish()
    keeps = served.participant()
    keeps.vote(1, "real")
    with served.study.database.reading() as session:
        code = session.scalar(select(Participant.code).order_by(Participant.id))
    page = researcher.get(f"/admin/delete/{code}").text
    assert f"{code}</b> and all their answers?" in page
    assert act(researcher, "/admin/delete", code=code).status == 303
    assert code not in researcher.get("/admin").text
    with served.study.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Vote)) == 1
    assert act(researcher, "/admin/delete", code=code).status == 404
    assert keeps.resume()["answered"] == 1
