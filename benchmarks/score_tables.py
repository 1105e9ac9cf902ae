"""The writer of the table in docs/scores.md, from benchmarks/results/score-coverage.json.

python benchmarks/score_tables.py
"""

import json
from typing import Any

from convergan.files import write_text
from convergan.statistics.intervals import wilson
from harness import ROOT, page_tables
from harness.command_line import command_parser
from harness.page_tables import markdown_table
from harness.rows import RESULTS

PAGE = ROOT / "docs" / "scores.md"

_HEADS = (
    "number",
    "images, features",
    "the sets differ by",
    "draws",
    "interval contains it",
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
_IMAGES = {"labelled": "labelled images", "sorted": "images sorted by class"}
_SHIFTS = {
    "equal": "nothing",
    "near": ".1",
    "opposite": ".1 and -.1",
    "apart": ".3",
    "far": "1",
}


def filled(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with its table as the rows have it."""
    return page_tables.filled(page, lambda _: _table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Not measured yet.\n"
    lines = []
    for row in sorted(rows, key=lambda row: _ORDER.index(row["number"])):
        size = f"{row['features']} {row['family']}"
        if row["number"] == "Inception score":
            size = f"{row['classes']:,} classes"
            size += "" if row["family"] == "normal" else f" of {_IMAGES[row['family']]}"
        cells = (
            row["number"],
            f"{row['images']:,}, {size}",
            _SHIFTS[row["closeness"]] if row["number"] != "Inception score" else "–",
            f"{row['repeats']:,}",
            _share(row["ours"], row["repeats"]),
            _width(row["width"]),
            _share(row["coverage_of_difference"], row["repeats"]),
            _width(row["width_of_difference"]),
        )
        lines.append(cells)
    return markdown_table(_HEADS, lines)


def _share(value: float | None, draws: int) -> str:
    """A share with Wilson's interval of it, from so many draws."""
    if value is None:
        return "none given"
    low, high = wilson(round(value * draws), draws)
    return f"{100 * value:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _width(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main() -> None:
    command_parser(__doc__).parse_args()
    rows = json.loads((RESULTS / "score-coverage.json").read_text(encoding="utf-8"))
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), rows))
    print(PAGE)


if __name__ == "__main__":
    main()
