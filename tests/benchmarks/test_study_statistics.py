"""The benchmark of a study's intervals, tests and sentences runs from end to end."""

import json

import pytest

from rows import RESULTS
from study_statistics import PARTS
from study_tables import PAGE, filled

ROWS = {
    "participants": 3,
    "images": 18,
    "differences": 10,
    "careless": 13,
    "arms": 4,
    "thresholds": 9,
}


@pytest.mark.parametrize("part", PARTS)
def test_every_claim_gets_its_rows(part: str) -> None:
    found = PARTS[part](2)
    assert len(found) == ROWS[part]
    for row in found:
        assert 0 <= row["ours"] <= 1 and row["peer"] >= 0 and row["repeats"] >= 2
        assert row["table"] and row["setting"] and row["unit"]


def test_the_tables_of_the_documentation_are_those_of_the_results() -> None:
    rows = json.loads((RESULTS / "study-statistics.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 6 and filled(page, rows) == page


def test_a_table_has_a_line_for_each_setting() -> None:
    page = "<!-- table: thresholds -->\n<!-- end -->\n"
    row = {"table": "thresholds", "setting": "320 ms", "repeats": 50, "ours": 0.951}
    text = filled(page, [{**row, "read_over_truth": 1.013, "peer": 1.0949}])
    assert "| 320 ms | 95.1 % | 1.01 | 1.09 |\n\nShares of 50 simulated studies.\n" in text
    assert filled(text, []) == "<!-- table: thresholds -->\nNot measured yet.\n<!-- end -->\n"
