"""Writes the table of docs/scores.md from benchmarks/results/score-coverage.json.

python benchmarks/score_tables.py
"""

import json
import re
from pathlib import Path
from typing import Any

from convergan.files import write_text
from convergan.statistics.intervals import wilson
from rows import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "scores.md"

_BLOCK = re.compile(r"(<!-- table: coverage -->\n)(.*?)(<!-- end -->)", re.S)

_HEADS = (
    "number",
    "images, features",
    "the sets differ by",
    "draws",
    "interval holds it",
    "its width",
    "interval of the difference",
    "its width",
)
_ORDER = (
    "Inception score",
    "FID",
    "FID infinity",
    "KID",
    "precision",
    "recall",
    "density",
    "coverage",
)
_SHIFTS = {
    "equal": "nothing",
    "near": ".1",
    "opposite": ".1 and -.1",
    "apart": ".3",
    "far": "1",
}


def filled(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with its table as the rows have it."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_table(rows)}{block[3]}", page)


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Not measured yet.\n"
    lines = [f"| {' | '.join(_HEADS)} |", "|---" * len(_HEADS) + "|"]
    for row in sorted(rows, key=lambda row: _ORDER.index(row["number"])):
        what = f"{row['features']} {row['family']}"
        if row["number"] == "Inception score":
            what = f"{row['classes']:,} classes"
            what += " of labelled images" if row["family"] == "labelled" else ""
        cells = (
            row["number"],
            f"{row['images']:,}, {what}",
            _SHIFTS[row["closeness"]] if row["number"] != "Inception score" else "–",
            f"{row['repeats']:,}",
            _share(row["ours"], row["repeats"]),
            _width(row["width"]),
            _share(row["coverage_of_difference"], row["repeats"]),
            _width(row["width_of_difference"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _share(value: float | None, draws: int) -> str:
    """With Wilson's interval of a share of so many draws."""
    if value is None:
        return "none given"
    low, high = wilson(round(value * draws), draws)
    return f"{100 * value:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _width(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main() -> None:
    rows = json.loads((RESULTS / "score-coverage.json").read_text(encoding="utf-8"))
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), rows))
    print(PAGE)


if __name__ == "__main__":
    main()
