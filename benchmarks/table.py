"""The figures of benchmarks/results as tables.

python benchmarks/table.py [NAME ...]
"""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.command_line import command_parser
from harness.rows import RESULTS


def print_tables(names: list[str], console: Console) -> None:
    """A table of each claim, one line a row; without names, of all claims."""
    paths = [RESULTS / f"{name}.json" for name in names] or sorted(RESULTS.glob("*.json"))
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        # The records of time_to_accuracy claim nothing: it has a table of its own.
        rows = [row for row in content if "claim" in row]
        for claim in dict.fromkeys(row["claim"] for row in rows):
            console.print(f"\n[bold]{path.stem}[/bold]: {claim}")
            console.print(table_of([row for row in rows if row["claim"] == claim]))


def table_of(rows: list[dict[str, Any]]) -> Table:
    """One line a row."""
    table = Table(box=None, pad_edge=False)
    table.add_column("setting")
    for column in ("ours", "peer", "faster", "floor"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for row in rows:
        table.add_row(
            f"{row['setting']} ({row['device']}, {row['precision']})",
            _number(row["ours"]),
            f"{_number(row['peer'])} ({row['peer_name']})",
            _times(row["times_faster"]) + _middle_half(row.get("times_faster_quartiles")),
            _times(row["times_floor"]),
            row["unit"],
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _times(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _middle_half(quartiles: list[float] | None) -> str:
    return "" if quartiles is None else f" ({quartiles[0]:.2f}-{quartiles[2]:.2f})"


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="file without .json; default: all")
    print_tables(parser.parse_args().names, Console())


if __name__ == "__main__":
    main()
