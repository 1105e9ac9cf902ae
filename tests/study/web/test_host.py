"""A study among others on one host: cookies, paths, browsers without cookies or shared, a lost database."""

import os
import re
from dataclasses import replace

import pytest
from sqlalchemy import text

from convergan.study.collect.entry import new_link
from convergan.study.web import site
from studies import QUICK, prolific_path, serving
from visitor import Visitor

PID = "5f3a9c2e1b7d4e6f8a0b1c2d"


def test_two_studies_in_one_browser_leave_each_other_alone(make_study, serve):
    first, second = serve(make_study()), serve(make_study())
    browser = Visitor(first.address)
    browser.join(new_link(first.study.keys, "open"))
    assert browser.vote(1, "real").status == 200
    # Ports do not separate cookies, and other programs have a cookie named so too.
    elsewhere = Visitor(second.address)
    elsewhere.cookies = browser.cookies
    browser.cookies["session"] = "of-another-program"
    elsewhere.join(new_link(second.study.keys, "open"))
    elsewhere.submit("/admin/login", {"token": second.study.keys.admin_token})
    browser.submit("/admin/login", {"token": first.study.keys.admin_token})
    assert browser.resume()["answered"] == 1 and elsewhere.resume()["answered"] == 0
    assert browser.get("/admin").status == elsewhere.get("/admin").status == 200


def test_another_programs_cookie_outlives_the_next_person_and_the_sign_out(served):
    """Flask names its cookie so by default."""
    browser = served.participant("open")
    browser.finish()
    browser.cookies |= {"session": "of-another-program", "admin": "of-yet-another"}
    answer = browser.submit("/another", {})
    assert "session=" not in answer.headers["set-cookie"]
    browser.submit("/consent", {"agree": "yes"})
    assert browser.resume()["answered"] == 0
    browser.submit("/admin/login", {"token": served.study.keys.admin_token})
    token = re.search(r'name="form_token" value="([^"]*)"', browser.get("/admin").text)
    assert browser.submit("/admin/logout", {"form_token": token[1]}).status == 303
    assert browser.get("/admin").headers["location"] == "/admin/login"
    assert browser.cookies["session"] == "of-another-program"
    assert browser.cookies["admin"] == "of-yet-another"


def test_a_session_under_the_former_name_ends_with_the_next_person(served):
    browser = served.participant("open")
    browser.finish()
    browser.cookies = {name.partition("-")[0]: value for name, value in browser.cookies.items()}
    former = browser.cookies["session"]
    assert browser.get("/").headers["location"] == "/study"
    browser.submit("/another", {})
    assert browser.cookies["session"] == former
    assert browser.get("/").status == 200
    browser.submit("/consent", {"agree": "yes"})
    assert browser.resume()["answered"] == 0


def test_who_is_under_way_with_a_cookie_of_the_former_name_goes_on(served):
    visitor = served.participant("open")
    visitor.vote(1, "real")
    visitor.cookies = {name.partition("-")[0]: value for name, value in visitor.cookies.items()}
    assert set(visitor.cookies) == {"session", "entry"}
    assert visitor.resume()["answered"] == 1


@pytest.mark.parametrize("passed_on", [True, False], ids=["passed on", "taken away"])
def test_a_study_below_a_path_of_its_host(make_study, passed_on):
    """The study's addresses lead below the path, whether a proxy passes it on or takes it away."""
    with serving(make_study(), root="/turing") as served:
        visitor = served.visitor()
        prefix = "/turing" if passed_on else ""

        def go(answer):
            location = answer.headers["location"]
            assert location.startswith("/turing/") and "path=/turing" in str(answer.headers).lower()
            return prefix + location.removeprefix("/turing")

        path = go(visitor.get(f"{prefix}/join/{new_link(served.study.keys, 'personal')}"))
        page = visitor.get(path).text
        assert 'action="/turing/consent"' in page and 'href="/turing/static/' in page
        answer = visitor.submit(f"{prefix}/consent", {"agree": "yes"})
        page = visitor.get(go(answer)).text
        assert 'data-root="/turing"' in page
        assert visitor.post(f"{prefix}/api/resume").json["answered"] == 0
        answer = visitor.submit(f"{prefix}/admin/login", {"token": served.study.keys.admin_token})
        assert "path=/turing/admin" in answer.headers["set-cookie"].lower()
        page = visitor.get(go(answer)).text
        assert page.count('"/turing/admin') >= 4 and '"/admin' not in page
        assert visitor.get(f"{prefix}/health").json == {"status": "ok"}


def test_a_browser_without_cookies_is_told_so(served):
    for path in (f"/join/{new_link(served.study.keys, 'open')}", prolific_path(served.study, PID)):
        visitor = served.visitor()
        location = visitor.get(path).headers["location"]
        visitor.cookies.clear()
        page = visitor.get(location)
        assert (
            page.status == 200
            and "does not accept cookies" in page.text
            and "part of it" not in page.text
        )


def test_the_next_person_at_a_shared_computer_is_somebody_else(served):
    link = new_link(served.study.keys, "open")
    browser = served.visitor()
    browser.join(link)
    browser.finish()
    first = browser.get("/done").text
    assert "somebody else" in first
    browser.get(f"/join/{link}")
    page = browser.get("/consent").text
    assert "Somebody has already finished this study in this browser. Was that you?" in page
    assert "Yes, show the last page" in page and "continue" not in page
    assert browser.submit("/another", {}).headers["location"] == "/consent?by=link"
    page = browser.get("/consent").text
    assert "I agree to take part" in page and "Was that you" not in page
    assert browser.submit("/consent", {"agree": "yes"}).headers["location"] == "/study"
    assert browser.resume()["answered"] == 0


def test_who_has_a_link_of_their_own_stays_who_they_are(served):
    browser = served.participant("personal")
    browser.vote(1, "real")
    page = browser.get("/consent").text
    assert "Welcome back" in page and "somebody else" not in page
    browser.submit("/another", {})
    assert browser.resume()["answered"] == 1
    browser.finish()
    assert "You have finished this study" in browser.get("/consent").text


def test_the_code_to_delete_answers_by_is_on_the_first_page(served):
    visitor = served.participant()
    code = visitor.get("/study").text.partition('class="code">')[2].partition("<")[0]
    visitor.finish()
    assert len(code) == 8 and code in visitor.get("/done").text


def test_one_address_starts_only_so_many_sessions_by_links_that_many_have(
    make_study, serve, monkeypatch
):
    monkeypatch.setattr(site, "_SESSIONS_A_SECOND", 0)
    served = serve(make_study(replace(QUICK, participants=40)))
    link = new_link(served.study.keys, "open")
    visitors = [served.visitor() for _ in range(15)]
    answers = [visitor.join(link) for visitor in visitors]
    # A quarter of the places.
    assert [answer.status for answer in answers] == [303] * 10 + [429] * 5
    assert "try again in a minute" in answers[-1].text
    assert [visitor.take_place().status for visitor in visitors[:10]] == [200] * 10
    # Neither a person who continues, nor one who was invited, nor the researcher is a newcomer.
    assert visitors[0].submit("/consent", {"agree": "yes"}).status == 303
    for way in ("personal", "preview"):
        assert served.participant(way).resume()["answered"] == 0
    elsewhere = served.visitor()
    elsewhere.get(prolific_path(served.study, PID))
    assert "I agree to take part" in elsewhere.get("/consent").text


@pytest.mark.parametrize(
    ("places", "workers", "at_once"), [(40, 1, 10), (40, 2, 5), (4000, 2, 30), (3, 2, 2), (3, 9, 2)]
)
def test_the_sessions_of_one_address_are_divided_among_the_processes(
    make_study, places, workers, at_once
):
    study = make_study(replace(QUICK, participants=places))
    limit = site.open_site(study.database, study.keys, workers=workers).new_sessions
    assert sum(limit.allows("192.0.2.7") for _ in range(100)) == at_once


def test_a_lost_database_is_a_page_that_says_so_and_heals(make_study, serve, capfd):
    served = serve(make_study())
    participant = served.participant()
    moved = served.study.location + ".away"
    os.rename(served.study.location, moved)
    for ask in (
        lambda: participant.get("/consent"),
        lambda: participant.get("/study"),
        lambda: participant.vote(1, "real"),
        lambda: participant.submit("/admin/login", {"token": served.study.keys.admin_token}),
        lambda: participant.get("/health"),
    ):
        answer = ask()
        assert answer.status == 503 and "unavailable at the moment" in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"].startswith("no-store")
        assert int(answer.headers["retry-after"]) > 0
    captured = capfd.readouterr()
    lines = [line for line in (captured.out + captured.err).splitlines() if line]
    assert len(lines) <= 1 and "Traceback" not in str(lines)
    # No empty file is made in its place.
    assert not os.path.exists(served.study.location)
    os.replace(moved, served.study.location)
    assert participant.vote(1, "real").status == 200
    assert participant.get("/health").status == 200


@pytest.mark.xdist_group("postgresql")
def test_connections_that_postgresql_has_closed_are_replaced_unnoticed(make_study, serve):
    served = serve(make_study(backend="postgresql"))
    participant = served.participant()
    participant.resume()
    database = served.study.database
    with database.reading() as session, database.reading() as second:
        # The pool holds at least two connections, so that one is left to close beside the next session's.
        for reading in (session, second):
            reading.execute(text("SELECT 1"))
    with database.reading() as session:
        closed = session.scalars(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
        assert closed
    assert [participant.get("/study").status for _ in range(4)] == [200] * 4


def test_what_goes_wrong_here_has_the_safe_headers_too(served, monkeypatch):
    def fail(*_):
        raise RuntimeError("unexpected")

    monkeypatch.setattr("convergan.study.web.participant.find_participant", fail)
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    answer = visitor.get("/consent")
    assert answer.status == 500 and "Something went wrong on our side" in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_how_votes_were_given_is_kept(served):
    participant = served.participant()
    client = {"input": "touch", "device": "phone", "window_width": 360, "window_height": 740}
    content = {"position": 1, "key": "k" * 16, "answer": "real", **client}
    assert participant.post("/api/votes", content).status == 200
    with served.study.database.reading() as session:
        row = session.execute(
            text("SELECT input, device, window_width, window_height FROM votes")
        ).one()
    assert list(row) == list(client.values())
    for wrong in ({"input": "x"}, {"device": "fridge"}, {"window_width": -1}):
        assert participant.post("/api/votes", {**content, "position": 2, **wrong}).status == 422


def test_a_plan_of_arms_has_places_by_arm(make_study, serve):
    served = serve(make_study(replace(QUICK, participants=1, feedback="both")))
    for _ in range(2):
        assert served.participant("open").take_place().status == 200
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    assert "All places" in visitor.get("/consent").text


def test_only_a_platform_gets_a_code_from_who_does_not_take_part(served):
    for path, has_code in (
        (f"/join/{new_link(served.study.keys, 'open')}", False),
        (prolific_path(served.study, PID), True),
    ):
        visitor = served.visitor()
        visitor.get(path)
        page = visitor.submit("/consent", {"agree": "no"}).text
        assert "You have chosen not to take part" in page and ('class="code"' in page) == has_code


def test_obvious_fakes_are_counted_among_the_images(make_study, serve, folders):
    served = serve(make_study(replace(QUICK, controls=3), controls=folders["best"]))
    visitor = served.visitor()
    visitor.get(f"/join/{new_link(served.study.keys, 'open')}")
    assert "you judge 7 images." in visitor.get("/consent").text
    visitor.submit("/consent", {"agree": "yes"})
    assert visitor.resume()["trials"] == 7
    assert "The next 7 images count." in visitor.get("/study").text
