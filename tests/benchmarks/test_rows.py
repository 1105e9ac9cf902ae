"""Rows of a benchmark's results."""

import json
import re

import pytest

from harness import BENCHMARKS
from harness.measure import quartiles_of_ratio
from harness.rows import command, timing


def test_a_command_names_no_folder_of_its_machine():
    words = ["/home/me/it/benchmarks/x.py", "--data", "/data/mnist", "--out=../there", "--n", "3"]
    assert command(words) == "python benchmarks/x.py --data mnist --out=there --n 3"
    assert (
        command(["benchmarks/x.py", "--runs", "runs/x"]) == "python benchmarks/x.py --runs runs/x"
    )


def test_times_become_medians_and_the_middle_half_of_their_ratios():
    times = {"ours": [1.0, 2.0, 4.0], "other": [3.0, 5.0, 4.0], "worse": [9.0, 9.0, 9.0]}
    row = timing(
        times=times, peer="other", floor=0.5, claim="c", setting="s", device="d", precision="p",
        peer_name="n", unit="seconds", repeats=3,
    )  # fmt: skip
    assert (row["ours"], row["peer"], row["times_faster"], row["times_floor"]) == (2, 4, 2.5, 4)
    # Turn by turn: 3, 2.5 and 1.
    assert row["times_faster_quartiles"] == pytest.approx([1.75, 2.5, 2.75])
    assert quartiles_of_ratio([3.0], [2.0]) == [1.5, 1.5, 1.5]


def test_no_kept_row_is_slower_than_its_claim_says():
    compared = 0
    for path in (BENCHMARKS / "results").glob("*.json"):
        for row in json.loads(path.read_text(encoding="utf-8")):
            claim = row.get("claim", "")
            factor = re.search(r"(\S+) times as fast", claim)
            if factor or "faster" in claim:
                words = {"twice": 2.0, "three": 3.0, "four": 4.0, "five": 5.0}
                number = factor[1] if factor else "1"
                lowest = words[number] if number in words else float(number)
                compared += 1
                assert row["times_faster"] >= lowest, f"{path.name}: {claim}: {row['setting']}"
    assert compared > 20
