"""A real browser that tests drive."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from browser import QUIET, environment, find_browser
from studies import BRIEF, QUICK, MakeStudy, Serve, Served, write_images

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    program = find_browser()
    with sync_playwright() as playwright:
        flags = [flag for flag in QUIET if flag != "--headless"]
        home = tmp_path_factory.mktemp("home")
        browser = playwright.chromium.launch(
            executable_path=program, args=flags, env=dict(environment(home))
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser of its own, where nothing may go wrong unnoticed."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        return page

    yield open_one
    for context in contexts:
        context.close()
    # Requests that fail are what some tests are about; the pages' own mistakes are not.
    assert [
        complaint for complaint in complaints if "Failed to load resource" not in complaint
    ] == []


@pytest.fixture
def brief(make_study: MakeStudy, serve: Serve) -> Served:
    """Two images to practise on and two trials, without feedback or checks."""
    return serve(make_study(BRIEF))


@pytest.fixture
def with_larger_images(make_study: MakeStudy, serve: Serve, tmp_path: Path) -> Served:
    """Four images of 64 pixels, some 12 KB each, and nothing else."""
    real = write_images(tmp_path / "real", ("circles",), 20, size_px=64)
    generated = write_images(tmp_path / "generated", ("stripes",), 20, size_px=64)
    plan = replace(QUICK, practice=0, checks=0)
    return serve(make_study(plan, real=real, generated={"random": generated}))
