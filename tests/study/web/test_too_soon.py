"""Taps and keys that come so soon that they were meant for what was shown before."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page

from studies import BRIEF, MakeStudy, Serve, Served
from study.web.conftest import PHONE
from study.web.person import OpenPage, Person, by_key, by_touch, study_of

# A clock may tick between a timer and what it sets off.
SOONEST_MS = 249

# For how long each verdict was there, in ms.
PROBE = """
const stayed = [];
let since = null;
requestAnimationFrame(function look(now) {
  const verdict = document.querySelector("#verdict");
  const there = verdict !== null && !verdict.hidden;
  if (there && since === null) since = now;
  if (!there && since !== null) {
    stayed.push(now - since);
    since = null;
  }
  requestAnimationFrame(look);
});
addEventListener("pagehide", () => (sessionStorage.stayed = JSON.stringify(stayed)));
"""


def tap_twice(page: Page, step: str) -> None:
    box = page.locator(f"#{step}").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.touchscreen.tap(*middle)
    page.wait_for_timeout(150)
    page.touchscreen.tap(*middle)


def press_twice(page: Page, step: str) -> None:
    by_key(page, step)
    page.wait_for_timeout(150)
    by_key(page, step)
    by_key(page, "next")


@pytest.mark.parametrize(("act_twice", "act_once"), [(tap_twice, by_touch), (press_twice, by_key)])
def test_twice_in_a_row_answers_once(
    brief: Served,
    open_page: OpenPage,
    act_twice: Callable[..., None],
    act_once: Callable[..., None],
) -> None:
    page = open_page(**PHONE)
    page.add_init_script(f"{{ {PROBE} }}")
    person = Person(
        page, lambda page, step: (act_once if step in ("start", "next") else act_twice)(page, step)
    )
    person.arrive(brief)
    page.get_by_role("button", name="I agree").tap()
    person.go_on_to_the_end()
    _, votes, _ = study_of(brief)
    assert min(vote.response_ms or 0 for vote in votes) >= SOONEST_MS
    stayed = page.evaluate("JSON.parse(sessionStorage.stayed)")
    assert len(stayed) == brief.study.plan.practice and min(stayed) >= SOONEST_MS


def test_a_key_that_is_held_down_counts_once(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(BRIEF, feedback="after-each")))
    page = open_page()
    person = Person(page, by_key)
    person.arrive(served)
    page.get_by_role("button", name="I agree").click()
    for key in ("Enter", "f", "Enter", "f", "Enter"):
        assert person.step() is not None
        # For longer than what comes so soon is passed over.
        for _ in range(8):
            # After the first these are repetitions.
            page.keyboard.down(key)
            page.wait_for_timeout(50)
        page.keyboard.up(key)
    # The last one has closed the second verdict, and not what came then.
    assert page.locator("#practice-over").is_visible()
    assert len(study_of(served)[1]) == 2
