"""The benchmark of scores' intervals runs from end to end, and detects an interval that is too narrow."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import score_coverage
from convergan.metrics.inception_score_metric import IN_ORDER
from convergan.metrics.kernel_distance import KernelWork
from convergan.metrics.metric import Spread
from convergan.statistics.intervals import Interval
from harness.rows import RESULTS
from score_coverage import SETTINGS, Setting, draw, rows_of
from score_tables import PAGE, filled

SMALL = Setting("kid", "normal", 200, 8, "far")


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The benchmark with few draws of few, small settings; the folder that its JSON goes to."""
    settings = [
        Setting("is", "normal", 1000, 8, "equal"),
        Setting("fid", "rectified", 1000, 8, "far"),
    ]
    settings += [SMALL, Setting("pr", "normal", 200, 8, "equal", parts=1)]
    monkeypatch.setattr("score_coverage.SETTINGS", settings)
    monkeypatch.setattr("score_coverage.draw", lambda setting, part: draw(setting, part, 2))
    monkeypatch.setattr("harness.rows.RESULTS", tmp_path / "results")
    return tmp_path


def test_every_number_gets_its_row_and_what_is_done_is_kept(
    few_draws: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = ["--runs", str(few_draws / "runs")]
    score_coverage.main(["--parts", "1", *runs])
    file = few_draws / "results" / "score-coverage.json"
    rows = json.loads(file.read_text())
    assert [row["number"] for row in rows] == [
        "Inception score", "FID", "FID infinity", "KID", "precision", "recall", "density", "coverage",
    ]  # fmt: skip
    for row in rows:
        assert 0 <= row["ours"] <= 1 and 0 <= row["coverage_of_difference"] <= 1
        assert row["width"] > 0 and row["methods"] and row["repeats"] == 2
    capsys.readouterr()
    score_coverage.main(["--parts", "2", *runs])
    # The first parts are not drawn again, and that of the last setting is its only one.
    assert capsys.readouterr().out.count("cpu_seconds") == 3
    monkeypatch.setattr("score_coverage.draw", None)
    score_coverage.main(["--table", *runs])
    assert [row["repeats"] for row in json.loads(file.read_text())] == [4, 4, 4, 4, 2, 2, 2, 2]


def test_intervals_that_are_too_narrow_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = rows_of(SMALL, [draw(SMALL, 0, 40)])
    spread = KernelWork._spread

    def narrow(self: KernelWork, values: list[float], draw_variances: np.ndarray) -> Spread:
        full = spread(self, values, draw_variances)
        assert full.intervals is not None
        intervals = [
            Interval(value + (low - value) / 3, value + (high - value) / 3)
            for value, (low, high) in zip(values, full.intervals, strict=True)
        ]
        return replace(full, plug_in=full.plug_in / 9, intervals=tuple(intervals))

    monkeypatch.setattr(KernelWork, "_spread", narrow)
    (wrong,) = rows_of(SMALL, [draw(SMALL, 0, 40)])
    assert wrong["ours"] < 0.8 < right["ours"]
    assert wrong["width"] == pytest.approx(right["width"] / 3, rel=1e-6)


def test_numbers_without_an_interval_have_no_coverage() -> None:
    (row,) = rows_of(SMALL, [{"numbers": {"KID": {
        "first": [[1.0, None, None], [2.0, None, None]],
        "second": [[1.0, None, None], [2.0, None, None]],
        "difference": [[0.0, None, None], [0.0, None, None]],
        "methods": ["none known to hold"],
    }}}])  # fmt: skip
    assert np.isnan(row["ours"]) and row["given"] == 0


def test_images_sorted_by_class_have_no_interval() -> None:
    """The settings of the table include them, and the same images in random order have one."""
    assert [setting.count for setting in SETTINGS if setting.family == "sorted"] == [1000, 5000]
    (row,), (random,) = (
        rows_of(setting, [draw(setting, 0, 3)])
        for setting in (Setting("is", family, 1000, 64, "equal") for family in ("sorted", "normal"))
    )
    assert row["given"] == 0 and row["methods"] == [IN_ORDER] and np.isnan(row["ours"])
    assert random["given"] == 1 and random["mean"] > row["mean"]


def test_the_table_of_the_documentation_is_that_of_the_results() -> None:
    file = RESULTS / "score-coverage.json"
    rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: coverage -->") == 1 and filled(page, rows) == page
    text = filled(page, [{
        "number": "FID infinity", "images": 1000, "features": 250, "family": "normal", "classes": 10,
        "closeness": "near", "ours": None, "width": None, "coverage_of_difference": 0.951,
        "width_of_difference": 1.01, "repeats": 1000,
    }])  # fmt: skip
    assert "| 1,000 | none given | – | 95.1 % (94 to 96) | 1.01 |" in text
    text = filled(page, [{
        "number": "Inception score", "images": 1000, "features": 64, "family": "sorted", "classes": 10,
        "closeness": "equal", "ours": None, "width": None, "coverage_of_difference": None,
        "width_of_difference": None, "repeats": 100,
    }])  # fmt: skip
    assert (
        "10 classes of images sorted by class | – | 100 | none given | – | none given | – |" in text
    )
