"""The report as a browser shows it."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.report import ReportInputs, write_report

Browser = Callable[..., str]

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    names = ("chromium", "google-chrome", "chromium-browser", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        if os.environ.get("CONVERGAN_REQUIRE_BROWSER"):
            pytest.fail(f"a browser is required, and none of {', '.join(names)} is here")
        pytest.skip(f"no browser on this machine: none of {', '.join(names)}")

    def run(url: str, *flags: str) -> str:
        profile = tmp_path_factory.mktemp("profile")
        command = [program, *QUIET, f"--user-data-dir={profile}", *flags, url]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    return run


def test_nothing_overflows_at_any_width(
    tmp_path: Path, browser: Browser, inputs: ReportInputs
) -> None:
    names = [f"rather long class name {n}" for n in range(20)]
    confusion = np.full((20, 20), 1234)
    long_card = replace(inputs.least_certain[0], name="a/" + "very_long_file_name" * 9 + ".jpeg")
    unplotted = replace(inputs, epochs=[])
    reports = {
        "digits": inputs,
        "twenty": replace(
            unplotted,
            title="unbroken" * 20,
            classes=names,
            confusion=confusion,
            least_certain=[long_card],
            manifest={"command": "x" * 300, "y" * 120: 1},
        ),
        "hundred": replace(unplotted, classes=["n" * 70] * 100, confusion=np.ones((100, 100), int)),
    }
    frames = ""
    for name, report in reports.items():
        write_report(tmp_path / f"{name}.html", report)
        opened = (tmp_path / f"{name}.html").read_text().replace("<details>", "<details open>")
        (tmp_path / f"{name}.html").write_text(opened)
        for width in (320, 390) if report is not inputs else (320, 390, 800, 1280):
            frames += f'<iframe src="{name}.html" width="{width}" height="800"></iframe>'
    (tmp_path / "frames.html").write_text(
        f"""<body>{frames}<pre></pre><script>
        onload = () => document.querySelector("pre").textContent = JSON.stringify(
            [...document.querySelectorAll("iframe")].map(frame => [
                frame.getAttribute("src"), Number(frame.width),
                frame.contentDocument.documentElement.scrollWidth,
                frame.contentDocument.querySelectorAll("h2").length]))
        </script>"""
    )
    dom = browser(
        (tmp_path / "frames.html").as_uri(), "--allow-file-access-from-files", "--dump-dom"
    )
    measured = json.loads(unescape(dom.split("<pre>")[1].split("</pre>")[0]))
    assert len(measured) == 8
    assert all(headings > 3 for *_, headings in measured)
    assert [entry for entry in measured if entry[2] > entry[1]] == []


@pytest.fixture
def server(report: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = partial(Handler, directory=str(report.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/report.html", asked
        http.shutdown()


def test_the_page_asks_for_nothing_but_itself(
    browser: Browser, server: tuple[str, list[str]]
) -> None:
    url, asked = server
    dom = browser(url, "--dump-dom")
    assert "The GAN helped: 14 of 500 test images wrong" in dom
    assert set(asked) == {"/report.html"}


def test_light_and_dark_both_show_something(tmp_path: Path, browser: Browser, report: Path) -> None:
    shots = {}
    for name, flags in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        path = tmp_path / f"{name}.png"
        browser(report.as_uri(), "--window-size=1280,1500", f"--screenshot={path}", *flags)
        shots[name] = np.asarray(Image.open(path).convert("L")).astype(int)
    assert shots["light"][5, 5] > 230 and shots["dark"][5, 5] < 40
    for shot in shots.values():
        ink = np.abs(shot - shot[5, 5]) > 90
        assert ink[60:220].mean() > 0.01, "the verdict"
        assert ink[1000:1400, 60:620].mean() > 0.002, "a chart"
        assert ink[1000:1400, 660:1220].mean() > 0.002, "the chart beside it"
