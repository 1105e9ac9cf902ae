"""docs/performance.md says what the committed JSON says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def table() -> list[tuple[str, str, str, str]]:
    """Claim, times faster, times the floor, and the name of the JSON, of each row of figures."""
    page = (ROOT / "docs" / "performance.md").read_text()
    rows, results = [], ""
    for line in page.split("## Measured")[1].split("\n\n")[1].splitlines()[2:]:
        claim, _, _, faster, floor, command = (cell.strip() for cell in line.split("|")[1:-1])
        benchmark = re.search(r"benchmarks/(\w+)\.py", command)
        named = re.search(r"results/([\w-]+)\.json", command)
        if benchmark:
            results = named[1] if named else benchmark[1].replace("_", "-")
        rows.append((claim, faster, floor, results))
    return rows


@pytest.mark.parametrize(("claim", "faster", "floor", "results"), table())
def test_every_ratio_is_in_the_results(claim: str, faster: str, floor: str, results: str) -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / f"{results}.json").read_text())
    for column, shown in (("times_faster", faster), ("times_floor", floor)):
        known = [row[column] for row in rows if row[column] is not None]
        known += [each for row in rows for each in row.get(f"{column}_quartiles", [])]
        for figure in re.findall(r"\d+\.\d+", shown):
            decimals = len(figure.split(".")[1])
            assert figure in {f"{value:.{decimals}f}" for value in known}, (claim, column)
