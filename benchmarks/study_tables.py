"""The writer of the tables in docs/study-statistics.md, from benchmarks/results/study-statistics.json.

python benchmarks/study_tables.py
"""

import json
import math
from typing import Any

from convergan.files import write_text
from harness import ROOT, page_tables
from harness.command_line import command_parser
from harness.page_tables import markdown_table
from harness.rows import RESULTS

PAGE = ROOT / "docs" / "study-statistics.md"

_HEADS = {
    "participants": (
        "participants alone, images alike",
        "interval over participants",
        "naive (Wilson)",
    ),
    "participants and images": (
        "study",
        "interval over both",
        "naive (Wilson)",
        "width ÷ width needed",
    ),
    "differences": ("two samples of one generator", "over both", "over participants alone"),
    "careless": (
        "40 people, 100 trials",
        "indistinguishable",
        "with a caveat",
        "test of everybody's accuracy",
    ),
    "arms": (
        "equal arms",
        "some difference found",
        "comparisons that show it where arms spread by 35 points",
    ),
    "thresholds": (
        "truth",
        "interval contains it",
        "half-width of the interval, as a factor",
        "estimate ÷ truth",
        "mean of late exposures ÷ truth",
    ),
}
_CELLS = {
    "participants": ("ours", "peer"),
    "participants and images": ("ours", "peer", "width_over_needed"),
    "differences": ("ours", "peer"),
    "careless": ("ours", "with_a_caveat", "peer"),
    "arms": ("ours", "found_where_arms_spread_by_35_points"),
    "thresholds": ("ours", "interval_factor", "read_over_truth", "peer"),
}
_RATIOS = {("thresholds", name) for name in ("interval_factor", "read_over_truth", "peer")}


def filled(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with its tables as the rows have them."""
    return page_tables.filled(page, lambda name: _table(name, rows))


def _table(name: str, rows: list[dict[str, Any]]) -> str:
    table_rows = [row for row in rows if row.get("table") == name]
    if not table_rows:
        return "Not measured yet.\n"
    lines = [
        (row["setting"], *(_cell(name, key, row.get(key)) for key in _CELLS[name]))
        for row in table_rows
    ]
    runs = sorted({row["repeats"] for row in table_rows})
    studies = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
    chance = 196 * math.sqrt(0.05 * 0.95 / runs[0])
    note = f"Shares of {studies} simulated studies: one near 5 or 95 % is off by up to {chance:.1f} points."
    return markdown_table(_HEADS[name], lines, note)


def _cell(name: str, key: str, value: float | None) -> str:
    if value is None:
        return "–"
    if key == "width_over_needed" or (name, key) in _RATIOS:
        return f"{value:.2f}"
    return f"{100 * value:.1f} %"


def main() -> None:
    command_parser(__doc__).parse_args()
    rows = json.loads((RESULTS / "study-statistics.json").read_text(encoding="utf-8"))
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), rows))
    print(PAGE)


if __name__ == "__main__":
    main()
