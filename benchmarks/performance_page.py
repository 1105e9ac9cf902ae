"""The writer of the tables in docs/performance.md, from benchmarks/results.

python benchmarks/performance_page.py
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from convergan.files import write_text
from convergan.runs.provenance import short_commit
from harness import BENCHMARKS, ROOT, page_tables
from harness.command_line import command_parser
from harness.page_tables import markdown_table

RESULTS = BENCHMARKS / "results"
PAGE = ROOT / "docs" / "performance.md"

_HEADS = (
    "measured",
    "device",
    "ours",
    "compared with",
    "ratio (middle half)",
    "times the floor",
)

_SPACE = "\N{NO-BREAK SPACE}"

_FILE = r" \(benchmarks/[\w/]+\.py\)"
"""Part of the name of a peer: its file at the commit of the measurement."""

_PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16", "none": ""}


def filled(page: str, results: Path) -> str:
    """The page with each of its tables as the JSON file of that name in a folder has it."""
    return page_tables.filled(page, lambda name: _table(results, name))


def _table(results: Path, name: str) -> str:
    rows = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    repeats = ", ".join(f"{count:,}" for count in sorted({row["repeats"] for row in rows}))
    hashes = {row["git_commit"] for row in rows}
    commits = ", ".join(sorted("unknown" if c is None else short_commit(c) for c in hashes))
    json_file = f"[`{name}.json`](../benchmarks/results/{name}.json)"
    source = f"Source: {json_file}. Repeats: {repeats}. Commit: {commits}."
    return markdown_table(_HEADS, map(_cells, rows), source)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["setting"],
        _device(row),
        _measured(row, "ours"),
        f"{re.sub(_FILE, '', row['peer_name'])}: {_measured(row, 'peer')}",
        _ratio(row),
        "–" if row["times_floor"] is None else f"{row['times_floor']:.2f}",
    )


def _device(row: dict[str, Any]) -> str:
    """The device, and the precision where something is computed."""
    precision = _PRECISIONS.get(row["precision"], row["precision"])
    device: str = row["device"].replace("cpu", "CPU")
    return f"{device}, {precision}" if precision else device


def _measured(row: dict[str, Any], side: str) -> str:
    """The time or memory of a side, and what else its row has of that side."""
    value, unit = row[side], row["unit"].split(" of ")[0].split(" at ")[0]
    if unit == "MB":
        return f"{_three_digits(value)}{_SPACE}MB"
    prefix = f"CPU{_SPACE}" if unit.startswith("CPU") else ""
    text = f"{_three_digits(1e3 * value)}{_SPACE}{prefix}ms"
    if value >= 1:
        text = f"{_three_digits(value)}{_SPACE}{prefix}s"
    rate = row.get(f"{side}_images_per_second")
    if rate is None and side == "ours":
        rate = row.get("images_per_second")
    if rate is not None:
        text += f" ({_three_digits(rate)} images/s)"
    if f"{side}_epoch_reached" in row:
        text += f" (epoch {row[f'{side}_epoch_reached']})"
    return text


def _ratio(row: dict[str, Any]) -> str:
    """The ratio of speeds, other by ours; where there is none, ours as a percentage of the other."""
    if row["times_faster"] is not None:
        values = (row["times_faster"], *row.get("times_faster_quartiles", ()))
        return _with_middle_half([f"{value:.2f}" for value in values], "")
    share = row.get("share_of_peer", row["ours"] / row["peer"])
    quartiles = row.get("share_of_peer_quartiles", []) if row["repeats"] > 1 else []
    return _with_middle_half([f"{100 * value:.1f}" for value in (share, *quartiles)], " %")


def _with_middle_half(values: list[str], unit: str) -> str:
    """A value and, where its quartiles follow it, the first and the last of these."""
    value, *quartiles = values
    return f"{value}{unit} ({quartiles[0]} to {quartiles[2]})" if quartiles else f"{value}{unit}"


def _three_digits(value: float) -> str:
    """A number with three digits, more where it is 1,000 or above."""
    magnitude = math.floor(math.log10(float(f"{value:.3g}")))
    return f"{value:,.{max(0, 2 - magnitude)}f}"


def main() -> None:
    command_parser(__doc__).parse_args()
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), RESULTS))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
