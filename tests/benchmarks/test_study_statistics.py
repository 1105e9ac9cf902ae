"""The benchmark of a study's intervals and tests runs from end to end."""

from study_statistics import differences, participant_coverage, two_way_coverage


def test_every_claim_gets_its_rows() -> None:
    found = participant_coverage(50, 200) + two_way_coverage(50, 100) + differences(50, 200)
    assert len(found) == 3 + 2 + 2
    for row in found:
        assert 0 <= row["ours"] <= 1 and 0 <= row["peer"] <= 1 and row["repeats"] == 50
    pooled = [row for row in found[:5] if row["ours"] > row["peer"]]
    assert len(pooled) == 5, "pooled votes hold the truth less often"
