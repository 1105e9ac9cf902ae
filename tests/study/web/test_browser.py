"""Complete sessions in a real browser."""

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from convergan.study.collect.bots import run_bot
from convergan.study.design.plan import Plan
from studies import BRIEF, QUICK, MadeStudy, MakeStudy, Serve, Served
from study.web.conftest import PHONE
from study.web.person import (
    ANSWER,
    OpenPage,
    Person,
    assert_complete,
    by_arrow,
    by_key,
    by_mouse,
    by_touch,
    study_of,
)


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
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(QUICK, feedback="after-each")))
    person = Person(open_page(**PHONE), by_touch)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").tap()
    while (step := person.step()) is not None:
        assert_nothing_overflows(person.page)
        person.act(step)
    assert_nothing_overflows(person.page)
    assert_complete(served)


def assert_nothing_overflows(page: Page) -> None:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window == 360
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


@pytest.mark.parametrize(
    "plan",
    [replace(QUICK, practice=0), replace(BRIEF, feedback="after-each")],
    ids=["none", "after-each"],
)
def test_a_reload_at_every_trial_goes_on_with_the_same_image(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage, plan: Plan
) -> None:
    served = serve(make_study(plan))
    person = Person(open_page(), by_mouse)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    while (step := person.step()) is not None:
        if step in ("real", "generated"):
            view = look(person)
            person.page.reload()
            if person.step() == "start":
                person.act("start")
                person.step()
            assert look(person) == view
        person.act(step)
    assert_complete(served)


def test_keys_count_by_their_place_where_they_write_other_letters(
    brief: Served, open_page: OpenPage
) -> None:
    """A Russian keyboard writes another letter where F is. Votes keep input, device and window size."""

    def by_place(page: Page, step: str) -> None:
        if step in ("start", "next"):
            page.keyboard.press("Enter")
            return
        letters = {"real": ["KeyF", "\u0430"], "generated": ["KeyJ", "\u043e"]}
        page.evaluate(
            """([code, key]) =>
            document.dispatchEvent(new KeyboardEvent("keydown", { code, key, bubbles: true }))""",
            letters[step],
        )

    person = Person(open_page(viewport={"width": 900, "height": 700}), by_place)
    person.arrive(brief)
    person.page.get_by_role("button", name="I agree").click()
    person.go_on_to_the_end()
    assert_complete(brief)
    _, votes, _ = study_of(brief)
    assert {(vote.input, vote.device, vote.window_width, vote.window_height) for vote in votes} == {
        ("key", "computer", 900, 700)
    }


def look(person: Person) -> tuple[str, bytes]:
    """Place in the session, and screenshot of the image."""
    image = person.page.locator("#picture img")
    screenshot = image.screenshot() if image.count() else b""
    return person.position(), screenshot


def test_a_timed_session_with_reloads(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    """The page is reloaded at the first image to practise on, and at the first trial."""
    served = serve(make_study(replace(BRIEF, exposure="timed")))
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    first_images: dict[int, int | None] = {}
    while (step := person.step()) is not None:
        _, votes, trials = study_of(served)
        if step in ("real", "generated") and len(votes) in (0, served.study.plan.practice):
            trial = trials[len(votes)]
            first_images[trial.position] = trial.image_id
            place = person.position()
            person.page.reload()
            while person.step() == "start":
                person.act("start")
            assert person.position() == place
            # Gone behind its masks: it can be looked at no longer.
            assert person.page.locator("#picture").is_hidden()
        person.act(step)
    assert_complete(served)
    _, votes, trials = study_of(served)
    assert len(first_images) == 2
    for vote, trial in zip(votes, trials, strict=True):
        assert trial.image_id != first_images.get(trial.position)
        assert trial.exposure_ms is not None and vote.shown_ms is not None
        assert vote.frames is not None and vote.frame_ms is not None
        # To the nearest frame; a busy machine may be late, but never early.
        assert vote.shown_ms > trial.exposure_ms - vote.frame_ms
        assert vote.frames >= 1 and 1 < vote.frame_ms < 1000


def test_a_timed_study_fills_the_screen(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(BRIEF, exposure="timed", practice=0)))
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.set_viewport_size({"width": 800, "height": 400})
    person.page.get_by_role("button", name="I agree").click()
    assert person.step() == "start"
    # The instructions are longer than the window: they begin with their first line, and show their button.
    top, overflow = person.page.evaluate(
        "(({scrollTop, scrollHeight, clientHeight}) => [scrollTop, scrollHeight - clientHeight])"
        "(document.querySelector('main'))"
    )
    assert top == 0 and overflow > 50
    box = person.page.locator("#instructions .act button").bounding_box()
    assert box is not None and box["y"] + box["height"] <= 400
    person.act("start")
    assert person.step() == "real"
    filled = "document.fullscreenElement !== null"
    assert person.page.evaluate(filled)
    person.page.evaluate("document.exitFullscreen()")
    person.act("real")
    # Led back to it before the next image.
    assert person.step() == "start" and person.page.locator("#full-screen").is_visible()
    person.act("start")
    assert person.step() == "real" and person.page.evaluate(filled)
    person.go_on_to_the_end()
    assert_complete(served)


def test_a_closed_tab_goes_on_where_it_was(brief: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    person.arrive(brief)
    person.page.get_by_role("button", name="I agree").click()
    for _ in range(7):
        person.act(person.step() or "")
    place = (person.step(), person.position())
    context = person.page.context
    person.page.close()
    person.page = context.new_page()
    person.page.goto(f"http://{brief.address}/")
    person.page.wait_for_url("**/study")
    assert (person.step(), person.position()) == place
    person.go_on_to_the_end()
    assert_complete(brief)


def test_two_tabs_of_one_session_do_not_get_in_each_others_way(
    brief: Served, open_page: OpenPage
) -> None:
    first = Person(open_page(), by_key)
    first.arrive(brief)
    first.page.get_by_role("button", name="I agree").click()
    assert first.step() == "start"
    first.act("start")
    first.page.wait_for_selector(ANSWER)
    second = Person(first.page.context.new_page(), by_key)
    second.page.goto(f"http://{brief.address}/study")
    assert second.step() == "start"
    second.act("start")
    assert second.step() == "real"
    second.act("real")
    # The first tab learns that this has been answered, and goes on with what has not.
    first.page.bring_to_front()
    first.page.keyboard.press("j")
    first.page.wait_for_selector("#where:has-text('Practice 2')")
    first.go_on_to_the_end()
    assert_complete(brief)


def test_axe_finds_nothing_serious_in_the_light_and_in_the_dark(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(QUICK, feedback="after-each", contact="us@example.org")))
    page = open_page()
    person = Person(page, by_key)
    looked = set()

    def examine(name: str) -> None:
        if name in looked:
            return
        looked.add(name)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            # The policy of the pages lets nobody put a script into them but the driver itself.
            violations = Axe().run(page).response["violations"]
            serious = [
                violation["id"]
                for violation in violations
                if violation["impact"] in ("serious", "critical")
            ]
            assert serious == [], f"{name}, {scheme}: {violations}"

    page.goto(f"http://{served.address}/")
    examine("landing")
    person.arrive(served, "preview")
    examine("consent")
    page.get_by_role("button", name="I agree").click()
    while (step := person.step()) is not None:
        sheet = page.locator(".sheet:visible, #verdict:visible")
        examine((sheet.first.get_attribute("id") if sheet.count() else None) or step)
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
    page.get_by_role("button", name="Reopen").tap()
    page.wait_for_selector("h2:has-text('Open')")
    page.get_by_label("Participants wanted in each arm").fill("12")
    page.get_by_role("button", name="Change").tap()
    page.wait_for_selector("td:has-text('of 12')")
    assert_nothing_overflows(page)
    page.get_by_role("link", name="Delete").tap()
    page.get_by_role("button", name="Delete").tap()
    page.wait_for_selector("p:has-text('No participants yet')")
    page.get_by_role("button", name="Sign out").tap()
    page.wait_for_url("**/admin/login")


def test_the_researchers_tables_fit_on_a_desk_and_on_a_telephone(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    plan = replace(QUICK, trials=20, feedback="both", longest_run=10, fastest_ms=1100)
    served = serve(make_study(plan))
    served.participant().finish()
    run_bot(served.study.database)
    for options in ({"viewport": {"width": 1200, "height": 800}}, PHONE):
        page = open_page(**options)
        page.goto(f"http://{served.address}/admin")
        sign_in(page, served.study)
        assert "response time, same answer, leaning" in page.inner_text("main")
        cut = """[...document.querySelectorAll(".scroll")]
            .filter(each => each.scrollWidth > each.clientWidth)
            .map(each => each.getAttribute("aria-label"))"""
        assert page.evaluate(cut) == []
