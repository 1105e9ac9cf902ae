"""The guard that stands before every page."""

import http.client
import threading

import pytest

from convergan.study.collect.entry import new_link
from convergan.study.web import guard
from visitor import new_key


def test_every_answer_has_safe_headers(served):
    participant = served.participant()
    image = participant.resume()["tasks"][0]["image"]
    for path in ("/", "/study", "/done", "/admin/login", "/nowhere", "/image/x", image):
        headers = participant.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"].startswith("no-store")
        assert "server" not in headers


def test_style_and_scripts_are_kept_by_browsers(served):
    page = served.visitor().get("/").text
    style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = served.visitor().get(style)
    assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    assert served.visitor().get(style.replace("study.css", "study.py")).status == 404
    assert served.visitor().get("/static/old/study.css").status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_cannot_send_anything(served, headers):
    participant = served.participant()
    content = {"position": 1, "key": new_key(), "answer": "real"}
    assert participant.post("/api/votes", content, **headers).status == 403
    form = {"agree": "yes"}
    assert participant.submit("/consent", form, **headers).status == 403
    login = {"token": served.study.keys.admin_token}
    assert participant.submit("/admin/login", login, **headers).status == 403


def test_our_own_pages_can(served):
    for headers in (
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": f"http://{served.address}"},
        {},
    ):
        participant = served.participant()
        content = {"position": 1, "key": new_key(), "answer": "real"}
        assert participant.post("/api/votes", content, **headers).status == 200


def test_forms_of_other_sites_carry_no_session(served):
    visitor = served.visitor()
    visitor.get(f"/join/{new_link(served.study.keys, 'personal')}")
    answer = visitor.submit("/consent", {"agree": "yes"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "secure" not in cookie


def test_behind_https_cookies_stay_there(served):
    visitor = served.visitor()
    link = new_link(served.study.keys, "personal")
    answer = visitor.get(f"/join/{link}", **{"X-Forwarded-Proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_large_requests_are_refused(served):
    participant = served.participant()
    assert participant.post("/api/votes", {"key": "x" * guard.LARGEST_BODY}).status == 413
    connection = http.client.HTTPConnection(served.address)
    connection.request("POST", "/api/votes", iter([b"x"]), encode_chunked=True)
    assert connection.getresponse().status == 413


def test_one_session_can_ask_only_so_often(make_study, serve, monkeypatch):
    monkeypatch.setattr(guard, "_SESSION_LIMIT", (20, 0))
    served = serve(make_study())
    busy, idle = served.participant(), served.participant()
    statuses = [busy.get("/study").status for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    assert busy.get("/study").headers["retry-after"] == "1"
    assert idle.get("/study").status == 200


def test_the_admin_token_cannot_be_guessed_at_speed(served):
    visitor = served.visitor()
    guesses = [visitor.submit("/admin/login", {"token": str(n)}).status for n in range(15)]
    assert guesses[:10] == [403] * 10 and set(guesses[11:]) == {429}
    # The study goes on meanwhile.
    assert served.participant().get("/study").status == 200


def test_a_crowd_behind_one_address_is_let_in(served):
    results = []

    def come():
        participant = served.participant()
        results.append(participant.get("/study").status)

    threads = [threading.Thread(target=come) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == [200] * 40
