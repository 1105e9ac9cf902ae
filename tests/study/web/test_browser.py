"""Whole sessions in a real browser."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route
from sqlalchemy import select

from convergan.study.entry import new_link
from convergan.study.schema import Participant, Trial, Vote
from studies import QUICK, MadeStudy, MakeStudy, Serve, Served
from study.web.conftest import PHONE

OpenPage = Callable[..., Page]

# What a person can do next.
ANSWER, NEXT, START, END = "#answers button:enabled", "#next", ".sheet .act button", ".score"
NEXT_STEP = ", ".join(f"{selector}:visible" for selector in (ANSWER, NEXT, START, END))


class Person:
    """Goes through a session: sees what is there to do, and does it in one way or another."""

    def __init__(self, page: Page, act: Callable[[Page, str], None]) -> None:
        self.page = page
        self._act = act

    def arrive(self, served: Served, way: Any = "personal") -> None:
        self.page.goto(f"http://{served.address}/join/{new_link(served.study.keys, way)}")

    def step(self) -> str | None:
        """What is to be done now: "start", "next", "real" or "generated"; None at the end."""
        self.page.wait_for_selector(NEXT_STEP)
        if self.page.locator(END).count():
            return None
        if self.page.locator(START).locator("visible=true").count():
            return "start"
        if self.page.locator(NEXT).is_visible():
            return "next"
        check = self.page.locator("#asked")
        return check.inner_text().lower() if check.is_visible() else "real"

    def where(self) -> str:
        return self.page.locator("#where").inner_text()

    def act(self, step: str) -> None:
        before = self.page.locator("#progress").get_attribute("value")
        self._act(self.page, step)
        if step in ("real", "generated"):
            # Until the vote is in.
            self.page.wait_for_selector(f"#progress:not([value='{before}']), {END}")

    def go_on_to_the_end(self) -> list[str]:
        """Gives every step that was taken."""
        steps = []
        while (step := self.step()) is not None:
            steps.append(step)
            self.act(step)
        return steps


def by_key(page: Page, step: str) -> None:
    page.keyboard.press({"start": "Enter", "next": "Enter", "real": "f", "generated": "j"}[step])


def by_arrow(page: Page, step: str) -> None:
    arrows = {"real": "ArrowLeft", "generated": "ArrowRight"}
    page.keyboard.press(arrows.get(step, "Space"))


def by_touch(page: Page, step: str) -> None:
    selector = {"start": f"{START}:visible", "next": NEXT}.get(step, f"#{step}")
    button = page.locator(selector)
    box = button.bounding_box()
    assert box is not None and box["height"] >= 44 and box["width"] >= 44
    button.tap()


def by_mouse(page: Page, step: str) -> None:
    page.click({"start": f"{START}:visible", "next": NEXT}.get(step, f"#{step}"))


def study_of(served: Served) -> tuple[Participant, list[Vote], list[Trial]]:
    """The one participant, with everything answered."""
    with served.study.database.reading() as session:
        (participant,) = session.scalars(select(Participant)).all()
        votes = session.scalars(select(Vote).order_by(Vote.position)).all()
        trials = session.scalars(select(Trial).order_by(Trial.position)).all()
    return participant, list(votes), list(trials)


def assert_complete(served: Served) -> None:
    participant, votes, trials = study_of(served)
    assert participant.outcome == "completed"
    assert [vote.position for vote in votes] == [trial.position for trial in trials]
    for vote, trial in zip(votes, trials, strict=True):
        assert vote.answered_generated == (trial.kind == "check" and trial.generated)
        assert vote.response_ms is not None and 0 <= vote.response_ms < 60_000


@pytest.fixture(params=["none", "after-each"])
def with_and_without_feedback(
    request: pytest.FixtureRequest, make_study: MakeStudy, serve: Serve
) -> Served:
    return serve(make_study(replace(QUICK, feedback=request.param)))


def test_a_whole_session_by_keyboard_alone(
    with_and_without_feedback: Served, open_page: OpenPage
) -> None:
    served = with_and_without_feedback
    feedback = served.study.plan.feedback == "after-each"
    person = Person(open_page(), by_arrow if feedback else by_key)
    person.arrive(served)
    person.page.keyboard.press("Tab")
    person.page.keyboard.press("Enter")
    steps = person.go_on_to_the_end()
    # Told about practice, and about each trial in the arm with feedback.
    assert steps.count("next") == (2 + 4 if feedback else 2)
    assert steps.count("start") == 2
    assert_complete(served)
    assert "You were right about 2 of 4 images" in person.page.inner_text("main")


def test_a_whole_session_by_touch_at_360_px(
    with_and_without_feedback: Served, open_page: OpenPage
) -> None:
    person = Person(open_page(**PHONE), by_touch)
    person.arrive(with_and_without_feedback)
    person.page.get_by_role("button", name="I agree").tap()
    while (step := person.step()) is not None:
        assert_nothing_overflows(person.page)
        person.act(step)
    assert_nothing_overflows(person.page)
    assert_complete(with_and_without_feedback)


def assert_nothing_overflows(page: Page) -> None:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window == 360
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_a_reload_at_every_trial_goes_on_with_the_same_image(
    with_and_without_feedback: Served, open_page: OpenPage
) -> None:
    person = Person(open_page(), by_mouse)
    person.arrive(with_and_without_feedback)
    person.page.get_by_role("button", name="I agree").click()
    while (step := person.step()) is not None:
        if step in ("real", "generated"):
            seen = look(person)
            person.page.reload()
            if person.step() == "start":
                person.act("start")
                person.step()
            assert look(person) == seen
        person.act(step)
    assert_complete(with_and_without_feedback)


def look(person: Person) -> tuple[str, bytes]:
    """Where the session is, and what is shown."""
    image = person.page.locator("#picture img")
    shown = image.screenshot() if image.count() else b""
    return person.where(), shown


def test_a_timed_session_with_a_reload_at_every_trial(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(QUICK, exposure="timed", checks=0)))
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    before: dict[int, int | None] = {}
    while (step := person.step()) is not None:
        if step in ("real", "generated"):
            trial = study_of(served)[2][len(study_of(served)[1])]
            before[trial.position] = trial.image_id
            where = person.where()
            person.page.reload()
            while person.step() == "start":
                person.act("start")
            assert person.where() == where
            # Gone behind its masks: it can be looked at no longer.
            assert person.page.locator("#picture").is_hidden()
        person.act(step)
    assert_complete(served)
    _, votes, trials = study_of(served)
    for vote, trial in zip(votes, trials, strict=True):
        assert trial.image_id != before[trial.position]
        assert trial.exposure_ms is not None and vote.shown_ms is not None
        assert vote.frames is not None and vote.frame_ms is not None
        # To the nearest frame; a busy machine may be late, but never early.
        assert vote.shown_ms > trial.exposure_ms - vote.frame_ms
        assert vote.frames >= 1 and 1 < vote.frame_ms < 1000


def test_a_closed_tab_goes_on_where_it_was(served: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    for _ in range(7):
        person.act(person.step() or "")
    where = (person.step(), person.where())
    context = person.page.context
    person.page.close()
    person.page = context.new_page()
    person.page.goto(f"http://{served.address}/")
    person.page.wait_for_url("**/study")
    assert (person.step(), person.where()) == where
    person.go_on_to_the_end()
    assert_complete(served)


def test_two_tabs_of_one_session_do_not_get_in_each_others_way(
    served: Served, open_page: OpenPage
) -> None:
    first = Person(open_page(), by_key)
    first.arrive(served)
    first.page.get_by_role("button", name="I agree").click()
    assert first.step() == "start"
    first.act("start")
    first.page.wait_for_selector(ANSWER)
    second = Person(first.page.context.new_page(), by_key)
    second.page.goto(f"http://{served.address}/study")
    assert second.step() == "start"
    second.act("start")
    assert second.step() == "real"
    second.act("real")
    # The first tab learns that this has been answered, and goes on with what has not.
    first.page.bring_to_front()
    first.page.keyboard.press("j")
    first.page.wait_for_selector("#where:has-text('Practice 2')")
    first.go_on_to_the_end()
    assert_complete(served)


def test_a_lost_connection_loses_nothing(served: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    lost = {"before": 0, "after": 0, "image": 0}

    def drop_votes(route: Route) -> None:
        if lost["before"] < 2:
            lost["before"] += 1
            route.abort()
        elif lost["after"] < 2:
            # It arrives, and its answer does not.
            lost["after"] += 1
            route.fetch()
            route.abort()
        else:
            route.continue_()

    def cut_images(route: Route) -> None:
        lost["image"] += 1
        if lost["image"] == 1:
            route.fulfill(body=route.fetch().body()[:100], content_type="image/png")
        elif lost["image"] == 2:
            route.fulfill(status=503)
        else:
            route.continue_()

    person.page.route("**/api/votes", drop_votes)
    person.page.route("**/image/*", cut_images)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    assert person.step() == "real"
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#trouble:visible")
    assert "The connection is lost" in person.page.inner_text("#trouble")
    person.page.wait_for_selector("#verdict:visible")
    assert person.page.locator("#trouble").is_hidden()
    person.go_on_to_the_end()
    assert lost["before"] == lost["after"] == 2
    assert_complete(served)


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
    person.page.wait_for_selector("p:has-text('The time for this session is over')")
    assert person.page.locator(".code").inner_text() == study_of(served)[0].code


def test_the_next_images_are_there_before_they_are_needed(
    served: Served, open_page: OpenPage
) -> None:
    person = Person(open_page(), by_key)
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    person.page.wait_for_load_state("networkidle")
    first = [url for url in asked if "/image/" in url]
    # The current one and those of the next three tasks; a check has none.
    with served.study.database.reading() as session:
        near = session.scalars(
            select(Trial.address).where(Trial.position <= 4, Trial.image_id.is_not(None))
        ).all()  # fmt: skip
    assert sorted(url.rpartition("/")[2] for url in first) == sorted(near)
    person.go_on_to_the_end()
    images = [url for url in asked if "/image/" in url]
    assert len(images) == len(set(images)) == 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage, scheme: str
) -> None:
    served = serve(make_study(replace(QUICK, feedback="after-each", contact="us@example.org")))
    page = open_page(color_scheme=scheme)
    person = Person(page, by_key)
    looked = set()

    def examine(name: str) -> None:
        if name in looked:
            return
        looked.add(name)
        # The policy of the pages lets nobody put a script into them but the driver itself.
        found = Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], f"{name}: {found}"

    page.goto(f"http://{served.address}/")
    examine("landing")
    person.arrive(served, "preview")
    examine("consent")
    page.get_by_role("button", name="I agree").click()
    while (step := person.step()) is not None:
        shown = page.locator(".sheet:visible, #verdict:visible")
        examine((shown.first.get_attribute("id") if shown.count() else None) or step)
        person.act(step)
    examine("done")
    page.goto(f"http://{served.address}/admin")
    examine("login")
    sign_in(page, served.study)
    examine("admin")
    page.get_by_role("link", name="Delete").first.click()
    examine("delete")
    assert {"instructions", "practice-over", "check", "verdict", "real", "done"} <= looked


def sign_in(page: Page, study: MadeStudy) -> None:
    page.get_by_label("Token").fill(study.keys.admin_token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin")


def test_the_researcher_pauses_opens_and_deletes(served: Served, open_page: OpenPage) -> None:
    served.participant().vote(1, "real")
    page = open_page(**PHONE)
    page.goto(f"http://{served.address}/admin")
    sign_in(page, served.study)
    page.get_by_role("button", name="Pause").tap()
    page.wait_for_selector("h2:has-text('Paused')")
    page.get_by_role("button", name="Open again").tap()
    page.wait_for_selector("h2:has-text('Open')")
    page.get_by_label("Participants wanted in each arm").fill("12")
    page.get_by_role("button", name="Change").tap()
    page.wait_for_selector("td:has-text('of 12')")
    assert_nothing_overflows(page)
    page.get_by_role("link", name="Delete").tap()
    page.get_by_role("button", name="Delete").tap()
    page.wait_for_selector("p:has-text('Nobody yet')")
    page.get_by_role("button", name="Sign out").tap()
    page.wait_for_url("**/admin/login")
