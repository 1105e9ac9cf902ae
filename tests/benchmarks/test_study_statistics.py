"""The benchmark of a study's intervals, tests and sentences runs from end to end."""

import pytest

from study_statistics import PARTS

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
