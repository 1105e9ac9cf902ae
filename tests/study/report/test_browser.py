"""The report of a study as a browser shows it."""

from dataclasses import replace
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
    for name, each, widths in (
        ("long", long, (320, 1280)),
        ("many", many_arms, (320,)),
        ("timed", timed, (320, 1280)),
    ):
        write_page(tmp_path / f"{name}.html", each)
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
