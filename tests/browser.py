"""Pages in a real browser, without a driver: Chromium started once for each look."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path

import pytest

Browser = Callable[..., str]
"""Opens a URL with some flags, in a profile of its own; gives what it prints."""

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
    """The browser's program. Skips, or fails where a browser is required, if none is here."""
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
    """Chromium starts neither without a home nor where the path of a socket in TMPDIR is a long one."""
    return {**os.environ, "HOME": str(home), "TMPDIR": "/tmp"}


def open_browser(new_profile: Callable[[], Path]) -> Browser:
    """Skips, or fails where a browser is required, if none is here."""
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
    """(page, width, what it takes) of each page of `folder` that overflows a width, details opened."""
    for page in {page for page, _ in frames}:
        opened = page.read_text().replace("<details>", "<details open>")
        page.write_text(opened)
    shown = "".join(
        f'<iframe src="{page.name}" width="{width}" height="800"></iframe>'
        for page, width in frames
    )
    (folder / "frames.html").write_text(
        f"""<body>{shown}<pre></pre><script>
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
    return [(page, width, taken) for page, width, taken, _ in measured if taken > width]
