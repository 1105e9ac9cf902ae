"""Tables and outputs of the docs, to compare with the JSON and with what commands print."""

import json
import re
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


def lines_not_printed(block: str, printed: str) -> list[str]:
    """The lines "name: text" of a page's output that a command has not printed, whatever the numbers."""
    forms = {_without_numbers(line) for line in printed.splitlines()}
    return [
        line
        for line in block.splitlines()
        if re.match(r"[\w ]+: ", line) and _without_numbers(line) not in forms
    ]


def _without_numbers(line: str) -> str:
    return re.sub(r"\d[\d,.]*", "0", " ".join(line.split()))
