"""A person at a study: what they see, what they do, and what is recorded of it."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import select

from convergan.study.collect.entry import new_link
from convergan.study.storage.schema import Participant, Trial, Vote
from studies import Served

OpenPage = Callable[..., Page]

# What a person can do next.
ANSWER, NEXT = "#answers button:enabled", "#next:enabled"
START, END = ".sheet .act button:enabled", ".score"
NEXT_STEP = ", ".join(f"{selector}:visible" for selector in (ANSWER, NEXT, START, END))


class Person:
    """Goes through a session: sees what is there to do, and does it in one way or another."""

    def __init__(self, page: Page, act: Callable[[Page, str], None]) -> None:
        self.page = page
        self._act = act

    def arrive(self, served: Served, way: Any = "personal") -> None:
        self.page.goto(f"http://{served.address}/join/{new_link(served.study.keys, way)}")

    def step(self) -> str | None:
        """Step to be taken now: "start", "next", "real" or "generated"; None at the end."""
        self.page.wait_for_selector(NEXT_STEP)
        if self.page.locator(END).count():
            return None
        if self.page.locator(START).locator("visible=true").count():
            return "start"
        if self.page.locator(NEXT).is_visible():
            return "next"
        check = self.page.locator("#asked")
        return check.inner_text().lower() if check.is_visible() else "real"

    def position(self) -> str:
        return self.page.locator("#where").inner_text()

    def act(self, step: str) -> None:
        progress = self.page.locator("#progress").get_attribute("value")
        self._act(self.page, step)
        if step in ("real", "generated"):
            # Until the vote is in.
            self.page.wait_for_selector(f"#progress:not([value='{progress}']), {END}")

    def go_on_to_the_end(self) -> list[str]:
        """Return every step that was taken."""
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
    """The only participant of a study, with all votes and trials."""
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
