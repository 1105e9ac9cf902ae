"""The benchmark of many images runs from end to end."""

from pathlib import Path

import pytest

from score_many import measure


@pytest.mark.slow
def test_every_number_has_its_interval(tmp_path: Path) -> None:
    results = measure(tmp_path, images=1000, features=8, classes=10, threads=1)
    assert results["wall_seconds"] > 0 and results["peak_bytes"] > 50e6
    assert len(results["scores"]) == 8
    for value, interval in results["scores"].values():
        assert interval[0] <= value <= interval[1]
