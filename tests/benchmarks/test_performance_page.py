"""docs/performance.md says what the JSON files of benchmarks/results say."""

import json
from pathlib import Path
from typing import Any

import pytest

from performance_page import PAGE, RESULTS, filled


def test_the_tables_of_the_page_are_those_of_the_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") >= 14 and filled(page, RESULTS) == page


def test_every_comparison_of_speed_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for path in RESULTS.glob("*.json"):
        rows = json.loads(path.read_text(encoding="utf-8"))
        if any(row.get("times_faster") for row in rows):
            assert f"<!-- table: {path.stem} -->" in page, path


ROW = {
    "setting": "n = 8",
    "device": "cpu, 1 thread",
    "precision": "32-true",
    "ours": 0.00204,
    "peer": 2.5,
    "peer_name": "broadcasting (benchmarks/peers/former.py)",
    "unit": "seconds of forward and backward",
    "times_faster": 4.5957,
    "times_faster_quartiles": [3.7361, 4.5957, 5.4067],
    "times_floor": None,
    "repeats": 1000,
    "git_commit": "0123456789012345678901234567890123456789-dirty",
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "CPU, 1 thread, fp32 | 2.04 ms | broadcasting: 2.50 s | 4.60 (3.74 to 5.41) | –"),
        (
            {"ours": 99.96, "peer": 1234.5, "unit": "CPU seconds", "times_floor": 16.214},
            "CPU, 1 thread, fp32 | 100 CPU s | broadcasting: 1,234 CPU s"
            " | 4.60 (3.74 to 5.41) | 16.21",
        ),
        (
            {"unit": "MB at the peak", "ours": 33.04, "peer": 498, "times_faster": None, "repeats": 1},
            "CPU, 1 thread, fp32 | 33.0 MB | broadcasting: 498 MB | 6.6 % | –",
        ),
        (
            {
                "times_faster": None,
                "share_of_peer": 1.015,
                "share_of_peer_quartiles": [0.9919, 1.015, 1.0493],
                "precision": "none",
            },
            "CPU, 1 thread | 2.04 ms | broadcasting: 2.50 s | 101.5 % (99.2 to 104.9) | –",
        ),
        (
            {"images_per_second": 15.33, "peer_images_per_second": 7.09, "peer_epoch_reached": 54},
            "CPU, 1 thread, fp32 | 2.04 ms (15.3 images/s)"
            " | broadcasting: 2.50 s (7.09 images/s) (epoch 54) | 4.60 (3.74 to 5.41) | –",
        ),
    ],
)  # fmt: skip
def test_a_row_has_its_units_and_three_digits(
    changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    (tmp_path / "step.json").write_text(json.dumps([{**ROW, **changes}]))
    page = filled("above\n<!-- table: step -->\nformer\n<!-- end -->\nbelow\n", tmp_path)
    assert f"|\n| n = 8 | {line} |\n" in page.replace("\N{NO-BREAK SPACE}", " ")
    repeats = "1" if changes.get("repeats") else "1,000"
    assert f"Repeats: {repeats}. Commit: 0123456-dirty." in page and "former" not in page
    assert page.startswith("above\n") and page.endswith("<!-- end -->\nbelow\n")
    assert filled(page, tmp_path) == page
