"""docs/performance.md says what the committed JSON says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def table() -> list[tuple[str, str, str, str]]:
    """Claim, times faster, times the floor, and the benchmark, of each row of figures."""
    page = (ROOT / "docs" / "performance.md").read_text()
    rows, benchmark = [], ""
    for line in page.split("## Measured")[1].split("\n\n")[1].splitlines()[2:]:
        claim, _, _, faster, floor, command = (cell.strip() for cell in line.split("|")[1:-1])
        named = re.search(r"benchmarks/(\w+)\.py", command)
        benchmark = named[1] if named else benchmark
        rows.append((claim, faster, floor, benchmark))
    return rows


@pytest.mark.parametrize(("claim", "faster", "floor", "benchmark"), table())
def test_every_ratio_is_in_the_results(claim: str, faster: str, floor: str, benchmark: str) -> None:
    path = ROOT / "benchmarks" / "results" / f"{benchmark.replace('_', '-')}.json"
    rows = json.loads(path.read_text())
    for column, shown in (("times_faster", faster), ("times_floor", floor)):
        known = [row[column] for row in rows if row[column] is not None]
        known += [each for row in rows for each in row.get(f"{column}_quartiles", [])]
        for figure in re.findall(r"\d+\.\d+", shown):
            decimals = len(figure.split(".")[1])
            assert figure in {f"{value:.{decimals}f}" for value in known}, (claim, column)
