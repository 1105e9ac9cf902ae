"""The participant's pages, one request at a time."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from convergan.study.collect.entry import new_link
from convergan.study.design.plan import CONSENT
from convergan.study.storage.schema import Identity, Participant, Study, Token
from studies import QUICK, prolific_path

PID = "5f3a9c2e1b7d4e6f8a0b1c2d"


def count(served, table=Participant):
    with served.study.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def codes(served):
    with served.study.database.reading() as session:
        return session.get_one(Study, 1).codes


def test_without_a_link_there_is_no_way_in(served):
    visitor = served.visitor()
    assert "open to people who have a link" in visitor.get("/").text
    for path in ("/consent", "/study", "/done"):
        answer = visitor.get(path)
        assert answer.status == 303 and answer.headers["location"] in ("/", "/consent")
    assert visitor.submit("/consent", {"agree": "yes"}).headers["location"] == "/"
    good = prolific_path(served.study, PID)
    for path in (
        "/join/made-up", "/join", f"/join?PROLIFIC_PID={PID}",
        f"/join/prolific-made-up?PROLIFIC_PID={PID}", good.partition("?")[0],
        good.replace(PID, ""), good.replace(PID, "<script>"), good.replace("64aa", "a~b"),
        good.replace("/prolific-", "/personal-"), good.replace("prolific-", "prolific-x"),
    ):  # fmt: skip
        answer = visitor.get(path)
        assert answer.status == 404 and "open the complete link" in answer.text, path
    assert count(served) == 0


def test_nothing_is_stored_before_consent_nor_without_it(served):
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    page = visitor.get("/consent").text
    assert "I agree to take part" in page and CONSENT[:40] in page
    assert count(served) == 0
    answer = visitor.submit("/consent", {"agree": "no"})
    assert "nothing about you has been stored" in answer.text
    assert f"complete?cc={codes(served)['declined']}" in answer.text
    assert count(served) == count(served, Identity) == 0


def test_prolifics_identifiers_go_no_further_than_the_door(served):
    visitor = served.visitor()
    answer = visitor.get(prolific_path(served.study, PID))
    assert answer.status == 303 and answer.headers["location"] == "/consent?by=link"
    assert PID not in str(answer.headers) + str(visitor.cookies)
    visitor.submit("/consent", {"agree": "yes"})
    assert PID not in visitor.get("/study").text
    with served.study.database.reading() as session:
        identity = session.scalars(select(Identity)).one()
    for hashed in (identity.person, identity.submission, identity.platform_study):
        assert hashed is not None and len(hashed) == 64


def test_who_comes_from_prolific_goes_back_with_the_code_of_the_outcome(served):
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    visitor.submit("/consent", {"agree": "yes"})
    assert visitor.get("/done").headers["location"] == "/study"
    visitor.finish()
    page = visitor.get("/done").text
    link = "https://app.prolific.com/submissions/complete?cc="
    assert f"{link}{codes(served)['completed']}" in page
    assert "2</b> of 4 images" in page or "of 4 images" in page
    assert visitor.get("/study").headers["location"] == "/done"


def test_who_misses_checks_gets_another_code(served):
    participant = served.participant()
    tasks = participant.resume()["tasks"]
    while tasks:
        wrong = {"real": "generated", "generated": "real", None: "real"}[tasks[0]["asks"]]
        tasks = participant.vote(tasks[0]["position"], wrong).json["tasks"]
    page = participant.get("/done").text
    assert codes(served)["attention"] in page and codes(served)["completed"] not in page


def test_someone_who_comes_again_goes_on(served):
    link = new_link(served.study.keys, "personal")
    first = served.visitor()
    first.join(link)
    first.vote(1, "real")
    elsewhere = served.visitor()
    elsewhere.get(f"/join/{link}")
    assert "Welcome back" in elsewhere.get("/consent").text
    assert elsewhere.submit("/consent", {"agree": "yes"}).headers["location"] == "/study"
    assert elsewhere.resume()["answered"] == 1
    # The first browser is not locked out.
    assert first.resume()["answered"] == 1
    assert first.get("/").headers["location"] == "/study"
    assert count(served) == 1


def test_a_personal_link_lets_one_person_in_once_however_it_is_spelled(served):
    link = new_link(served.study.keys, "personal")
    served.visitor().join(link)
    for spelling in (
        f"{link[:-1]}{chr(ord(link[-1]) ^ 1)}",
        f"{link}=",
        f"{link[:-4]}!{link[-4:]}",
    ):
        assert served.visitor().get(f"/join/{spelling}").status == 404
    assert count(served) == 1


def test_links_given_out_before_signatures_changed_lead_in(served):
    """A person who came by such a link and comes by it again goes on."""
    text = "personal-Zk3_-qT9xW0aB7cD"
    signature = served.study.keys.hashed("signature of link", text)[:32]
    first, second = served.visitor(), served.visitor()
    first.join(f"{text}.{signature}")
    first.vote(1, "real")
    second.join(f"{text}.{signature}")
    assert second.resume()["answered"] == 1 and count(served) == 1
    assert served.visitor().get(f"/join/{text}.{signature[:-1]}").status == 404


def test_a_full_and_a_paused_study_say_so_before_the_consent(make_study, serve):
    served = serve(make_study(replace(QUICK, participants=1)))
    late, visitor = served.visitor(), served.visitor()
    late.get(prolific_path(served.study, "late"))
    late.submit("/consent", {"agree": "yes"})
    assert served.participant("open").take_place().status == 200
    visitor.get(prolific_path(served.study, PID))
    pages = visitor.get("/consent"), visitor.submit("/consent", {"agree": "yes"})
    # Who came in time, and answers too late, learns it as well.
    assert late.take_place().status == 410
    for page in (*pages, late.get("/study")):
        assert page.status == 200 and "I agree" not in page.text
        assert "All places in this study are taken" in page.text
        assert codes(served)["full"] in page.text
    assert served.participant("personal").take_place().status == 200
    with served.study.database.writing() as session:
        session.get_one(Study, 1).paused = True
    for page in (visitor.get("/consent"), visitor.submit("/consent", {"agree": "yes"})):
        assert "Please come back later" in page.text
        assert not any(code in page.text for code in codes(served).values())


@pytest.mark.parametrize("way", ["preview", "personal"])
def test_a_preview_says_on_every_page_that_it_is_simulated(served, way):
    participant = served.participant(way)
    pages = [participant.get("/consent").text, participant.get("/study").text]
    participant.finish()
    pages.append(participant.get("/done").text)
    assert all(("SIMULATED" in page) == (way == "preview") for page in pages)


def test_what_the_researcher_writes_is_text(make_study, serve):
    plan = replace(
        QUICK,
        title="<b>Cats</b> & dogs",
        consent="One.\n\n<script>alert(1)</script>",
        contact="a<b",
    )
    served = serve(make_study(plan))
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    page = visitor.get("/consent").text
    assert "<script>alert" not in page and "<b>Cats" not in page
    assert "&lt;b&gt;Cats&lt;/b&gt; &amp; dogs" in page and "a&lt;b" in page


def test_instructions_say_what_the_plan_says(make_study, serve):
    for plan, expected, absent in (
        (replace(QUICK, exposure="timed"), "shown only for a moment", "Take as much time"),
        (QUICK, "Take as much time as you need", "only for a moment"),
        (
            replace(QUICK, feedback="after-each"),
            "After each of them, you are told",
            "you are not told",
        ),
        (replace(QUICK, checks=0, practice=0), "Start", "a sentence appears"),
    ):
        page = " ".join(serve(make_study(plan)).participant().get("/study").text.split())
        assert expected in page and absent not in page


def expire(served):
    with served.study.database.writing() as session:
        for participant in session.scalars(select(Participant)):
            participant.expires_at = 1


@pytest.mark.parametrize("way", ["personal", "prolific"])
def test_a_session_whose_time_is_over_says_so_and_goes_round_in_no_circle(make_study, serve, way):
    served = serve(make_study(replace(QUICK, contact="us@example.org", hours=2)))
    path = prolific_path(served.study, PID)
    if way == "personal":
        path = f"/join/{new_link(served.study.keys, way)}"
    visitor = served.visitor()
    visitor.get(path)
    visitor.submit("/consent", {"agree": "yes"})
    visitor.vote(1, "real")
    expire(served)
    with served.study.database.reading() as session:
        code = session.scalars(select(Participant.code)).one()
    visitor.get(path)
    elsewhere = served.visitor()
    elsewhere.get(path)
    for client, address in (
        *((visitor, address) for address in ("/", "/study", "/done", "/consent")),
        (elsewhere, "/consent"),
    ):
        answer = client.get(address)
        assert answer.status == 401, address
        assert "The time for this session has run out" in answer.text and code in answer.text
        assert "You had 2 hours" in answer.text and "us@example.org" in answer.text
        assert ("return your submission" in answer.text) == (way == "prolific")
        assert "Welcome back" not in answer.text
    for client in (visitor, elsewhere):
        answer = client.submit("/consent", {"agree": "yes"})
        assert answer.status == 401 and "The time for this session has run out" in answer.text
    assert not any("session" in name for name in elsewhere.cookies)
    assert count(served, Token) == 1


def test_who_has_finished_gets_the_completion_code_for_ever(served):
    visitor, path = served.visitor(), prolific_path(served.study, PID)
    visitor.get(path)
    answer = visitor.submit("/consent", {"agree": "yes"})
    # Longer than the session.
    assert (
        int(answer.headers["set-cookie"].lower().partition("max-age=")[2].partition(";")[0]) > 1e7
    )
    visitor.finish()
    expire(served)
    assert codes(served)["completed"] in visitor.get("/done").text
    assert visitor.get("/study").headers["location"] == "/done"
    elsewhere = served.visitor()
    elsewhere.get(path)
    assert elsewhere.submit("/consent", {"agree": "yes"}).headers["location"] == "/study"
    assert codes(served)["completed"] in elsewhere.get("/done").text


def test_a_submission_named_twice_is_the_first_persons(make_study, serve, backend, capfd):
    """A researcher may have tried the link with SESSION_ID=test."""
    served = serve(make_study(backend=backend))
    study = served.study
    for pid in ("first", "second"):
        visitor = served.visitor()
        visitor.get(prolific_path(study, pid, visit="test-session"))
        assert visitor.submit("/consent", {"agree": "yes"}).headers["location"] == "/study"
        assert visitor.resume()["answered"] == 0
    with study.database.reading() as session:
        submissions = dict(session.execute(select(Identity.person, Identity.submission)).all())
    assert submissions == {
        study.keys.hashed("person", "first"): study.keys.hashed("submission", "test-session"),
        study.keys.hashed("person", "second"): None,
    }
    assert capfd.readouterr().err == ""


def test_what_a_database_refuses_is_a_conflict_and_logged_nowhere(served, monkeypatch, capfd):
    def refuse(*_):
        raise IntegrityError("INSERT", {"person": PID}, Exception(f"DETAIL: Key ({PID}) exists"))

    monkeypatch.setattr("convergan.study.web.participant.join", refuse)
    visitor = served.visitor()
    visitor.get(prolific_path(served.study, PID))
    answer = visitor.submit("/consent", {"agree": "yes"})
    assert answer.status == 409 and PID not in answer.text
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
