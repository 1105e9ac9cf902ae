"""The report of a study as a browser shows it."""

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
from PIL import Image

from browser import Browser, too_wide
from convergan.study.report import StudyReport
from convergan.study.report.page import write_page


def test_nothing_overflows_at_any_width(
    tmp_path: Path,
    browser: Browser,
    report: StudyReport,
    many_arms: StudyReport,
    timed: StudyReport,
) -> None:
    long = replace(report, title="unbroken" * 20, source="/a/long/path" * 20, notes=("note" * 60,))
    frames = []
    for name, variant, widths in (
        ("long", long, (320, 1280)),
        ("many", many_arms, (320,)),
        ("timed", timed, (320, 1280)),
    ):
        write_page(tmp_path / f"{name}.html", variant)
        frames += [(tmp_path / f"{name}.html", width) for width in widths]
    assert too_wide(browser, tmp_path, frames) == []


def test_light_and_dark_both_show_something(tmp_path: Path, browser: Browser, page: Path) -> None:
    shots = {}
    for name, flags in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        path = tmp_path / f"{name}.png"
        browser(page.as_uri(), "--window-size=1280,1800", f"--screenshot={path}", *flags)
        shots[name] = np.asarray(Image.open(path).convert("L")).astype(int)
    assert shots["light"][5, 5] > 230 and shots["dark"][5, 5] < 40
    for shot in shots.values():
        ink = np.abs(shot - shot[5, 5]) > 90
        assert ink[60:220].mean() > 0.01, "the verdict"
        assert ink[950:1250, 60:620].mean() > 0.002, "a chart"
        assert ink[950:1250, 660:1220].mean() > 0.002, "the chart beside it"


def test_no_table_scrolls_sideways_on_a_phone(
    tmp_path: Path,
    browser: Browser,
    report: StudyReport,
    many_arms: StudyReport,
    timed: StudyReport,
) -> None:
    """Rows fold into lines "column: value", so that no column is out of sight."""
    reports = {"two": report, "many": many_arms, "timed": timed}
    for name, variant in reports.items():
        write_page(tmp_path / f"{name}.html", variant)
        html = (tmp_path / f"{name}.html").read_text()
        (tmp_path / f"{name}.html").write_text(html.replace("<details>", "<details open>"))
    frames = "".join(f'<iframe src="{name}.html" width="400"></iframe>' for name in reports)
    (tmp_path / "frames.html").write_text(
        f"""<body>{frames}<pre></pre><script>
        onload = () => document.querySelector("pre").textContent = JSON.stringify(
            [...document.querySelectorAll("iframe")].flatMap(frame =>
                [...frame.contentDocument.querySelectorAll("table")].map(table => [
                    table.querySelector("caption").textContent,
                    table.parentElement.clientWidth, table.parentElement.scrollWidth])))
        </script>"""
    )
    address = (tmp_path / "frames.html").as_uri()
    dom = browser(address, "--allow-file-access-from-files", "--dump-dom")
    tables = json.loads(unescape(dom.split("<pre>")[1].split("</pre>")[0]))
    assert len(tables) >= 8
    assert [table for table in tables if table[2] > table[1]] == []


def test_rows_of_facts_are_equally_full_at_any_width(
    tmp_path: Path, browser: Browser, report: StudyReport, many_arms: StudyReport
) -> None:
    """Six facts stand in rows of six or three, four in rows of four or two."""
    write_page(tmp_path / "six.html", report)
    write_page(tmp_path / "four.html", many_arms)
    sizes = (320, 360, 640, 825, 1000, 1024, 1280, 1600)
    frames = "".join(
        f'<iframe src="{name}.html" width="{width}"></iframe>'
        for name in ("six", "four")
        for width in sizes
    )
    (tmp_path / "frames.html").write_text(
        f"""<body>{frames}<pre></pre><script>
        onload = () => document.querySelector("pre").textContent = JSON.stringify(
            [...document.querySelectorAll("iframe")].map(frame => {{
                const rows = {{}};
                for (const fact of frame.contentDocument.querySelectorAll(".facts.even > div")) {{
                    const top = Math.round(fact.getBoundingClientRect().top);
                    rows[top] = (rows[top] || 0) + 1;
                }}
                return Object.values(rows);
            }}))
        </script>"""
    )
    address = (tmp_path / "frames.html").as_uri()
    dom = browser(address, "--allow-file-access-from-files", "--dump-dom")
    rows = json.loads(unescape(dom.split("<pre>")[1].split("</pre>")[0]))
    assert rows == 5 * [[3, 3]] + 3 * [[6]] + 5 * [[2, 2]] + 3 * [[4]]
