"""The report as a browser shows it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import Browser, too_wide
from convergan.report.inputs import ReportInputs
from convergan.report.page import write_report
from support import manifest_of


def test_nothing_overflows_at_any_width(
    tmp_path: Path, browser: Browser, inputs: ReportInputs, compared: ReportInputs
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
            manifest=manifest_of(command="x" * 300, versions={"y" * 120: "1"}),
        ),
        "arms": replace(compared, epochs=[]),
        "hundred": replace(unplotted, classes=["n" * 70] * 100, confusion=np.ones((100, 100), int)),
    }
    frames = []
    for name, report in reports.items():
        write_report(tmp_path / f"{name}.html", report)
        widths = (320, 390, 800, 1280) if name in ("digits", "arms") else (320, 390)
        frames += [(tmp_path / f"{name}.html", width) for width in widths]
    assert too_wide(browser, tmp_path, frames) == []


@pytest.fixture
def server(report: Path) -> Iterator[tuple[str, list[str]]]:
    paths: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            paths.append(self.path)

    handler = partial(Handler, directory=str(report.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/report.html", paths
        http.shutdown()


def test_the_page_asks_for_nothing_but_itself(
    browser: Browser, server: tuple[str, list[str]]
) -> None:
    url, paths = server
    dom = browser(url, "--dump-dom")
    assert "The GAN helped: 14 of 500 test images wrong" in dom
    assert set(paths) == {"/report.html"}


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


def measured(browser: Browser, page: Path, selector: str, side: str) -> list[float]:
    """The width or height of each element that the selector finds, on a page 390 px wide."""
    frame = page.with_name("frame.html")
    frame.write_text(
        f"""<iframe src="{page.name}" width="390" height="800"></iframe><pre></pre><script>
        onload = () => document.querySelector("pre").textContent = JSON.stringify(
            [...frames[0].document.querySelectorAll("{selector}")].map(
                found => found.getBoundingClientRect().{side}))
        </script>"""
    )
    dom = browser(frame.as_uri(), "--allow-file-access-from-files", "--dump-dom")
    sizes: list[float] = json.loads(dom.split("<pre>")[1].split("</pre>")[0])
    return sizes


def test_the_table_of_arms_is_as_wide_as_a_narrow_page(
    tmp_path: Path, browser: Browser, compared: ReportInputs
) -> None:
    write_report(tmp_path / "report.html", replace(compared, epochs=[], disagreements=None))
    parts = ".arms caption, .arms tbody th, .arms tbody td"
    widths = measured(browser, tmp_path / "report.html", parts, "width")
    assert len(widths) == 1 + 4 * 5 and min(widths) > 300


def test_an_option_breaks_at_no_hyphen(
    tmp_path: Path, browser: Browser, inputs: ReportInputs
) -> None:
    option = "--data.size-px"
    # With one of these lengths of text before the option, the line would end within it.
    texts = [f"{'i' * count} {option}" for count in range(20, 90, 3)]
    write_report(
        tmp_path / "report.html",
        replace(inputs, epochs=[], data=[(str(n), text) for n, text in enumerate(texts)]),
    )
    heights = measured(browser, tmp_path / "report.html", "#data ~ .panel .option", "height")
    assert len(heights) == len(texts) and max(heights) < 1.5 * min(heights)
