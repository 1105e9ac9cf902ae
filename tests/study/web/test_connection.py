"""A page whose requests are lost, slow, late or refused."""

import socket
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

from playwright.sync_api import CDPSession, Page, Route
from sqlalchemy import select

from convergan.study.storage.schema import Participant, Trial
from studies import BRIEF, MakeStudy, Serve, Served
from study.web.conftest import PHONE
from study.web.person import ANSWER, OpenPage, Person, assert_complete, by_key, study_of

UNLIMITED = -1

# Address, begin and end of each image that has come.
LOADED = """performance.getEntriesByType("resource")
  .filter(({ name }) => name.includes("/image/"))
  .map(({ name, startTime, responseEnd }) => [name, startTime, responseEnd])"""


def hurry(page: Page, constant: str, usual: str, hurried: str) -> None:
    """Replace a constant in the script of the page, so that its requests wait for a shorter time."""

    def change(route: Route) -> None:
        script = route.fetch().text()
        assert f"{constant} = {usual};" in script
        changed = script.replace(f"{constant} = {usual};", f"{constant} = {hurried};")
        route.fulfill(body=changed, content_type="text/javascript")

    page.route("**/network.js", change)


def test_a_lost_connection_loses_nothing(brief: Served, open_page: OpenPage) -> None:
    person = Person(open_page(**PHONE), by_key)
    hurry(person.page, "WAITS_MS", "[300, 1000, 2000, 4000, 8000]", "[50]")
    lost = {"before": 0, "after": 0, "image": 0}
    notified = False

    def drop_votes(route: Route) -> None:
        if lost["before"] < 2:
            lost["before"] += 1
            route.abort()
        elif lost["after"] < 2:
            # It arrives, and its answer does not.
            lost["after"] += 1
            route.fetch()
            route.abort()
        elif not notified:
            route.abort()
        else:
            route.continue_()

    def cut_images(route: Route) -> None:
        lost["image"] += 1
        if lost["image"] == 1:
            route.fulfill(body=route.fetch().body()[:100], content_type="image/png")
        elif lost["image"] <= 3:
            route.fulfill(status=503 if lost["image"] == 2 else 429)
        else:
            route.continue_()

    person.page.route("**/api/votes", drop_votes)
    person.page.route("**/image/*", cut_images)
    person.arrive(brief)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    assert person.step() == "real"
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#trouble:visible")
    assert "Nothing is lost" in person.page.inner_text("#trouble")
    trouble, footer = (
        person.page.locator(selector).bounding_box() for selector in ("#trouble", "footer")
    )
    assert (
        trouble is not None
        and footer is not None
        and trouble["y"] + trouble["height"] <= footer["y"]
    )
    notified = True
    person.page.wait_for_selector("#verdict:visible")
    assert person.page.locator("#trouble").is_hidden()
    person.go_on_to_the_end()
    assert lost["before"] == lost["after"] == 2 and lost["image"] > 3
    assert_complete(brief)


def test_a_session_that_is_over_says_so(served: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    with served.study.database.writing() as session:
        session.scalars(select(Participant)).one().expires_at = 1
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#over:visible")
    assert not person.page.locator(ANSWER).count()
    # Once more from the start: no circle, but the code by which the answers are found.
    person.page.reload()
    person.page.wait_for_selector("p:has-text('The time for this session has run out')")
    assert person.page.locator(".code").inner_text() == study_of(served)[0].code


def test_the_next_images_are_there_before_they_are_needed(
    served: Served, open_page: OpenPage
) -> None:
    person = Person(open_page(), by_key)
    urls: list[str] = []
    person.page.on("request", lambda request: urls.append(request.url))
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    person.page.wait_for_load_state("networkidle")
    first = [url for url in urls if "/image/" in url]
    # The current one and those of the next three tasks; a check has none.
    with served.study.database.reading() as session:
        upcoming = session.scalars(
            select(Trial.address).where(Trial.position <= 4, Trial.image_id.is_not(None))
        ).all()  # fmt: skip
    assert sorted(url.rpartition("/")[2] for url in first) == sorted(upcoming)
    person.go_on_to_the_end()
    images = [url for url in urls if "/image/" in url]
    assert len(images) == len(set(images)) == 6


def test_an_answer_that_is_refused_is_not_sent_for_ever(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(BRIEF, contact="us@example.org")))
    person = Person(open_page(), by_key)
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=422)

    person.page.route("**/api/votes", refuse)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#stopped:visible")
    text = person.page.inner_text("main")
    assert "answered 422" in text and "us@example.org" in text and "are stored" in text
    assert "is not responding" not in text and person.page.locator(ANSWER).count() == 0
    assert len(refused) == 1
    person.page.unroute("**/api/votes")
    person.page.get_by_role("link", name="Load again").click()
    person.go_on_to_the_end()
    assert_complete(served)


def about_to_start(page: Page, served: Served) -> tuple[Person, CDPSession]:
    """A person whose page gives up requests after a second without a byte, and the means to slow its line."""
    hurry(page, "STALL_MS", "20000", "1000")
    person = Person(page, by_key)
    person.arrive(served)
    page.get_by_role("button", name="I agree").click()
    assert person.step() == "start"
    return person, page.context.new_cdp_session(page)


def slow_down(line: CDPSession, bytes_a_second: int) -> None:
    line.send("Network.enable")
    speed = {"downloadThroughput": bytes_a_second, "uploadThroughput": UNLIMITED}
    line.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **speed})


def test_a_slow_line_gets_its_images_one_after_the_other(
    with_larger_images: Served, open_page: OpenPage
) -> None:
    served = with_larger_images
    person, line = about_to_start(open_page(), served)
    urls: list[str] = []
    person.page.on("request", lambda request: urls.append(request.url))
    # Two seconds an image: longer than the page waits for a byte.
    slow_down(line, 6_000)
    person.act("start")
    assert person.step() == "real"
    person.act("real")
    assert person.step() == "real"
    loaded = person.page.evaluate(LOADED)
    slow_down(line, UNLIMITED)
    person.go_on_to_the_end()
    assert_complete(served)
    addresses = [f"http://{served.address}/image/{trial.address}" for trial in study_of(served)[2]]
    assert [url for url in urls if "/image/" in url] == addresses
    assert [name for name, _, _ in loaded] == addresses[: len(loaded)] and len(loaded) >= 2
    for (_, began, ended), (_, next_began, _) in pairwise(loaded):
        assert ended - began > 1_000 and ended <= next_began


def test_a_line_that_stalls_in_the_middle_of_an_image_is_tried_again(
    brief: Served, open_page: OpenPage
) -> None:
    person, _ = about_to_start(open_page(), brief)
    urls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as stalling, ExitStack() as stack:

        def stall_once(route: Route) -> None:
            urls.append(route.request.url)
            if len(urls) > 1:
                route.continue_()
                return
            route.continue_(url=f"http://127.0.0.1:{stalling.getsockname()[1]}/")
            connection = stack.enter_context(stalling.accept()[0])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly the beginning")

        person.page.route("**/image/*", stall_once)
        person.act("start")
        assert person.step() == "real"
        person.go_on_to_the_end()
    assert urls[0] == urls[1] and len(urls) == 1 + 4
    assert_complete(brief)
