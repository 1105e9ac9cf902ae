"""Tables of the docs, and the JSON that they are to agree with."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Row = dict[str, Any]


def results(name: str) -> list[Row]:
    """The rows of a benchmark."""
    rows: list[Row] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def table(page: str, heading: str, place: int = -1) -> list[list[str]]:
    """The cells of a table below a heading, by default the last one, without its header."""
    section = (ROOT / "docs" / page).read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = section.split("\n|---|")[1:][place].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
