"""The benchmark of scores' intervals runs from end to end, and sees an interval that is too narrow."""

import json
from pathlib import Path

import pytest

import score_coverage
from convergan.metrics.kernel_distance import KernelWork


def test_every_number_gets_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rows.RESULTS", tmp_path)
    monkeypatch.setattr(score_coverage, "SHIFTS", {"equal": 0.0, "far": 1.0})
    score_coverage.main(["--draws", "2", "--sizes", "1000", "--features", "8"])
    (file,) = tmp_path.iterdir()
    rows = json.loads(file.read_text())
    # The score; and FID, FID infinity, KID and the four twice; of two families.
    assert len(rows) == 2 * (1 + 2 * 7)
    for row in rows:
        assert 0 <= row["ours"] <= 1 and 0 <= row["coverage_of_difference"] <= 1
        assert row["width"] > 0 and row["method"]


def test_intervals_that_are_too_narrow_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = ("kid", "normal", 200, 8, "far")
    (right,) = score_coverage.coverage(*setting, draws=60, seed=0)
    spread = KernelWork._spread

    def narrow(*of: object) -> object:
        whole = spread(*of)  # type: ignore[arg-type]
        growth = tuple((at_zero / 9, slope / 9) for at_zero, slope in whole.growth)
        return type(whole)(whole.plug_in / 9, whole.second_order / 9, growth=growth)

    monkeypatch.setattr(KernelWork, "_spread", narrow)
    (wrong,) = score_coverage.coverage(*setting, draws=60, seed=0)
    assert wrong["ours"] < 0.8 < right["ours"]
    assert wrong["width"] == pytest.approx(right["width"] / 3, rel=0.05)
