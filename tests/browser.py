"""Pages in a real browser, without a driver: Chromium is started once for each look."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path

import pytest

Browser = Callable[..., str]
"""Opens a URL with some flags, in a new profile; returns what the browser prints."""

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)


def find_browser() -> str:
    """The browser's program. Without one, the test is skipped, or fails where a browser is required."""
    names = ("chromium", "google-chrome", "chromium-browser", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is not None:
        return program
    reason = (
        f"no browser on this machine: none of {', '.join(names)} (Debian: apt-get install chromium)"
    )
    if os.environ.get("CONVERGAN_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


def environment(home: Path) -> dict[str, str]:
    """Environment of Chromium, which needs a home, and a TMPDIR short enough for the path of a socket."""
    return {**os.environ, "HOME": str(home), "TMPDIR": "/tmp"}


def open_browser(new_profile: Callable[[], Path]) -> Browser:
    """A browser for tests. Without one, the test is skipped, or fails where a browser is required."""
    program = find_browser()

    def run(url: str, *flags: str) -> str:
        profile = new_profile()
        command = [program, *QUIET, f"--user-data-dir={profile}", *flags, url]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=240,
            env=environment(profile),
        ).stdout  # fmt: skip

    return run


def too_wide(
    browser: Browser, folder: Path, frames: Sequence[tuple[Path, int]]
) -> list[tuple[str, int, int]]:
    """Page, width and scroll width of each page in `folder` that overflows its frame, details opened."""
    for page in {page for page, _ in frames}:
        opened = page.read_text().replace("<details>", "<details open>")
        page.write_text(opened)
    iframes = "".join(
        f'<iframe src="{page.name}" width="{width}" height="800"></iframe>'
        for page, width in frames
    )
    (folder / "frames.html").write_text(
        f"""<body>{iframes}<pre></pre><script>
        onload = () => document.querySelector("pre").textContent = JSON.stringify(
            [...document.querySelectorAll("iframe")].map(frame => [
                frame.getAttribute("src"), Number(frame.width),
                frame.contentDocument.documentElement.scrollWidth,
                frame.contentDocument.querySelectorAll("h2").length]))
        </script>"""
    )
    dom = browser((folder / "frames.html").as_uri(), "--allow-file-access-from-files", "--dump-dom")
    measured = json.loads(unescape(dom.split("<pre>")[1].split("</pre>")[0]))
    assert len(measured) == len(frames)
    assert all(headings > 3 for *_, headings in measured), "a page was not shown"
    return [
        (page, width, scroll_width)
        for page, width, scroll_width, _ in measured
        if scroll_width > width
    ]
