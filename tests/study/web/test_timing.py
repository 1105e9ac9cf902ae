"""Recorded times, compared with what was on the screen."""

from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any

from playwright.sync_api import Page

from studies import BRIEF, QUICK, MakeStudy, Serve, Served
from study.web.person import OpenPage, Person, by_key, study_of

UPRIGHT, TURNED = {"width": 360, "height": 740}, {"width": 740, "height": 360}

# What a frame has painted is what the next one finds: nothing is put on the screen in between.
PROBE = """
const seen = { things: [], presses: [] };
let painted = 0;
let before = null;
requestAnimationFrame(function look(now) {
  const thing = document.querySelector("#picture > *");
  if (before && thing !== before) seen.things.at(-1).end = painted;
  if (thing && thing !== before) seen.things.push({ kind: thing.localName, frames: [] });
  if (thing) seen.things.at(-1).frames.push(painted);
  before = thing;
  painted = now;
  requestAnimationFrame(look);
});
addEventListener("keydown", ({ key }) => key === "f" && seen.presses.push(performance.now()), true);
addEventListener("pagehide", () => (sessionStorage.seen = JSON.stringify(seen)));
"""


def seen_in_a_session(served: Served, page: Page) -> tuple[list[dict[str, Any]], list[float]]:
    """Things on the screen with their frames, and the times of the answers."""
    page.add_init_script(f"{{ {PROBE} }}")
    person = Person(page, by_key)
    person.arrive(served)
    page.get_by_role("button", name="I agree").click()
    for viewport in cycle([TURNED, UPRIGHT]):
        step = person.step()
        if step is None:
            break
        person.act(step)
        if served.study.plan.timed:
            # An image is there by now, and the telephone is turned.
            page.wait_for_timeout(750)
            page.set_viewport_size(viewport)
    record = page.evaluate("JSON.parse(sessionStorage.seen)")
    return record["things"], record["presses"]


def test_a_timed_image_is_up_for_as_long_as_recorded(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(BRIEF, exposure="timed", practice=0)))
    things, presses = seen_in_a_session(served, open_page(viewport=UPRIGHT))
    _, votes, trials = study_of(served)
    assert [thing["kind"] for thing in things] == ["span", "img", *["canvas"] * 5] * len(votes)
    images = [thing for thing in things if thing["kind"] == "img"]
    for vote, trial, image, pressed in zip(votes, trials, images, presses, strict=True):
        appeared = image["frames"][0]
        half = (vote.frame_ms or 0) / 2
        assert abs(image["end"] - appeared - (vote.shown_ms or 0)) < half
        assert len(image["frames"]) == vote.frames
        assert abs(pressed - appeared - (vote.response_ms or 0)) < half
        # All to the nearest frame: one less would have been too few, and one more too many.
        number = 7 * (vote.position - 1)
        durations = [600, trial.exposure_ms or 0, *[30] * 5]
        for thing, duration in zip(things[number : number + 7], durations, strict=True):
            start, last = thing["frames"][0], thing["frames"][-1]
            assert last - start <= duration - half < thing["end"] - start


def test_a_response_is_timed_from_the_frame_that_shows_the_image(
    make_study: MakeStudy, serve: Serve, open_page: OpenPage
) -> None:
    served = serve(make_study(replace(QUICK, practice=0, checks=0)))
    images, presses = seen_in_a_session(served, open_page())
    votes = study_of(served)[1]
    frames = [later - earlier for image in images for earlier, later in pairwise(image["frames"])]
    half = sorted(frames)[len(frames) // 2] / 2
    for vote, image, pressed in zip(votes, images, presses, strict=True):
        assert abs(pressed - image["frames"][0] - (vote.response_ms or 0)) < half


def test_the_image_is_fitted_again_when_the_telephone_is_turned(
    with_larger_images: Served, open_page: OpenPage
) -> None:
    page = open_page(viewport=UPRIGHT)
    person = Person(page, by_key)
    person.arrive(with_larger_images)
    page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    upright = page.locator("#picture img").bounding_box()
    assert upright is not None and upright["width"] == 320
    # The last as low as a small telephone with its address bar.
    for viewport in (TURNED, {"width": 640, "height": 230}):
        page.set_viewport_size(viewport)
        assert holds_soon(page, FITS)
    page.set_viewport_size(UPRIGHT)
    assert holds_soon(page, "document.querySelector('#picture img').clientWidth === 320")


FITS = """() => {
  const [above, image, below] = ["header", "#picture img", "footer"].map(
    (each) => document.querySelector(each).getBoundingClientRect());
  return above.bottom <= image.top && image.bottom <= below.top && image.height >= 48;
}"""


def holds_soon(page: Page, condition: str) -> bool:
    """True if a condition holds within seconds. (The page's policy keeps Playwright from waiting in it.)"""
    for _ in range(50):
        if page.evaluate(condition):
            return True
        page.wait_for_timeout(100)
    return False
