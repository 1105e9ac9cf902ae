"""The benchmark of a study's intervals, tests and sentences runs from end to end."""

import json
import sys
from pathlib import Path

import pytest

import study_statistics
from harness import rows
from harness.rows import RESULTS
from study_statistics import PARTS
from study_tables import PAGE, filled

ROWS = {
    "participants": 3,
    "images": 18,
    "differences": 15,
    "careless": 13,
    "arms": 4,
    "thresholds": 15,
}


@pytest.mark.parametrize("part", PARTS)
def test_every_claim_gets_its_rows(part: str) -> None:
    cases = list(PARTS[part]())
    assert len(cases) == ROWS[part]
    assert len({(case.claim, case.setting) for case in cases}) == len(cases)
    # The first and the last of a part differ most.
    for case in (cases[0], cases[-1]):
        row = case.row(2)
        assert 0 <= row["ours"] <= 1 and row["peer"] >= 0 and row["repeats"] >= 2
        assert row["table"] and row["setting"] and row["unit"]


def test_the_tables_of_the_documentation_are_those_of_the_results() -> None:
    rows = json.loads((RESULTS / "study-statistics.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 6 and filled(page, rows) == page


def test_a_table_has_a_line_for_each_setting() -> None:
    page = "<!-- table: thresholds -->\n<!-- end -->\n"
    row = {"table": "thresholds", "setting": "320 ms", "repeats": 50, "ours": 0.951}
    text = filled(page, [{**row, "interval_factor": 1.1, "read_over_truth": 1.013, "peer": 1.0949}])
    assert (
        "| 320 ms | 95.1 % | 1.10 | 1.01 | 1.09 |\n\n"
        "Shares of 50 simulated studies: one near 5 or 95 % is off by up to 6.0 points.\n" in text
    )
    assert filled(text, []) == "<!-- table: thresholds -->\nNot measured yet.\n<!-- end -->\n"


def test_what_was_measured_before_it_was_stopped_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    measured = []

    def stopped(participants: int, runs: int) -> dict[str, float]:
        measured.append((participants, runs))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return {"ours": 0.95, "peer": 0.7}

    monkeypatch.setattr(study_statistics, "_over_participants", stopped)

    def command(runs: int) -> list[int]:
        """Return the number of simulated studies of each row that is kept."""
        words = ["study_statistics.py", "--runs", str(runs), "--parts", "participants"]
        monkeypatch.setattr(sys, "argv", words)
        study_statistics.main()
        saved = json.loads((tmp_path / "study-statistics.json").read_text())
        return [row["repeats"] for row in saved]

    with pytest.raises(KeyboardInterrupt):
        command(7)
    assert command(7) == [7, 7, 7] and measured == [(10, 7), (25, 7), (40, 7), (40, 7)]
    assert command(8) == [8, 8, 8] and len(measured) == 7, "another size is measured anew"
    monkeypatch.setattr(study_statistics, "GIT_COMMIT", "another")
    assert command(8) == [8, 8, 8] and len(measured) == 10, "and so is another code"
