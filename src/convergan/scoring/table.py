"""Scores for people and for programs: a table, and JSON that later calls compare with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter
from rich.console import Console
from rich.table import Table

from convergan.json_files import read_json_as
from convergan.metrics.metric import NOT_ASKED_FOR, Comparison, Estimate
from convergan.statistics.intervals import Interval

SCHEMA = 2
"""Of the JSON."""

_BETTER = {"FID": "lower", "FID infinity": "lower", "KID": "lower"}
"""Of all others higher is better."""

_LARGE_KID = 10

_PRECISE = {"FID": "z.2f", "FID infinity": "z.2f", "KID": "z.5f", "Inception score": ".3f"}


@dataclass(frozen=True)
class Earlier:
    """The scores that an earlier call wrote."""

    place: str
    """The file."""

    images: str
    """What was scored then."""

    numbers: dict[str, tuple[Estimate, dict[str, Any]]]
    """By name, each with its fingerprint."""

    def fingerprint(self, metric: str) -> dict[str, Any] | None:
        """That of a metric's numbers; None where there are none."""
        found = (one for _, one in self.numbers.values() if one.get("metric") == metric)
        return next(found, None)


def print_scores(
    console: Console, estimates: Sequence[Estimate], comparisons: Sequence[Comparison]
) -> None:
    """A line for every number, and how its interval was found; with comparisons, also the other's number and
    the difference."""
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    columns = ["score", "95 % interval"]
    if comparisons:
        columns = ["score", "versus", "difference", "95 % interval", "verdict"]
    for column in ["", *columns]:
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    compared = {comparison.name: comparison for comparison in comparisons}
    for estimate in estimates:
        shown, comparison = _shown(estimate.name), compared.get(estimate.name)
        if comparison is not None:
            cells = [
                shown(comparison.first.value),
                shown(comparison.second.value),
                shown(comparison.difference),
                _interval(comparison.interval, shown),
                _verdict(comparison),
            ]
        elif comparisons:
            cells = [shown(estimate.value), "", "", "", "not compared"]
        else:
            spread = "" if estimate.stdev is None else f" ± {shown(estimate.stdev)}"
            cells = [shown(estimate.value) + spread, _interval(estimate.interval, shown)]
        table.add_row(estimate.name, *cells)
    console.print(table)
    for line in _methods(estimates):
        console.print(line, highlight=False)
    tested = sum(one.p_holm is not None for one in comparisons)
    if tested > 1:
        console.print(
            f"intervals are of one difference; verdicts are corrected (Holm) for all {tested}",
            highlight=False,
        )


def scores_as_dict(
    estimates: Sequence[tuple[str, Estimate]],
    comparisons: Sequence[tuple[str, Comparison]],
    fingerprints: Mapping[Any, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One entry a number, with everything that it depends on."""
    compared = {comparison.name: comparison for _, comparison in comparisons}
    entries: list[dict[str, Any]] = []
    for metric, estimate in estimates:
        entry: dict[str, Any] = {
            "name": estimate.name,
            "value": estimate.value,
            "stdev": estimate.stdev,
            "interval": estimate.interval,
            "method": estimate.method,
            "fingerprint": dict(fingerprints[metric]),
        }
        comparison = compared.get(estimate.name)
        if comparison is not None:
            entry["versus"] = {
                "value": comparison.second.value,
                "interval": comparison.second.interval,
                "difference": comparison.difference,
                "difference_interval": comparison.interval,
                "p_value": comparison.p_value,
                "p_holm": comparison.p_holm,
                "distinguishable": comparison.distinguishable,
            }
        entries.append(entry)
    return entries


def read_scores(path: Path) -> Earlier:
    """The numbers of a JSON file of `convergan score`.

    Raises:
        UserError: the file is not there, or is no such file.
    """
    content = read_json_as(path, _FILE, "the JSON of convergan score")
    numbers = {score.name: (_estimate(score), score.fingerprint) for score in content.scores}
    return Earlier(str(path), content.images.place, numbers)


@dataclass(frozen=True)
class _Score:
    """An entry of `scores_as_dict`, as far as it is read."""

    name: str
    value: FiniteFloat | None
    stdev: FiniteFloat | None
    interval: tuple[FiniteFloat | None, FiniteFloat | None] | None
    fingerprint: dict[str, Any]
    method: str = ""


@dataclass(frozen=True)
class _Images:
    place: str


@dataclass(frozen=True)
class _File:
    images: _Images
    scores: list[_Score]
    schema: Annotated[int, Field(ge=1, le=SCHEMA)] = 1
    """1: before there were notes and methods."""


_FILE = TypeAdapter(_File)


def _estimate(score: _Score) -> Estimate:
    low, high = score.interval or (None, None)
    return Estimate(
        score.name,
        math.nan if score.value is None else score.value,
        None if low is None or high is None else Interval(low, high),
        score.method,
        score.stdev,
    )


def _methods(estimates: Sequence[Estimate]) -> list[str]:
    """`KID: closed form ...` for each way in which intervals were found, or for why there are none."""
    by_method: dict[str, list[Estimate]] = {}
    for estimate in estimates:
        by_method.setdefault(estimate.method, []).append(estimate)
    return [
        f"{'intervals' if some[0].interval is not None else 'no interval'} of"
        f" {', '.join(one.name for one in some)}: {method}"
        for method, some in by_method.items()
        if method and method != NOT_ASKED_FOR
    ]


def _shown(name: str) -> Any:
    def shown(value: float) -> str:
        # So many decimals of a large one would not fit.
        large = name == "KID" and abs(value) >= _LARGE_KID
        return format(value, "z.2f" if large else _PRECISE.get(name, ".3f"))

    return shown


def _interval(interval: Any, shown: Any) -> str:
    return "none" if interval is None else f"{shown(interval.low)} to {shown(interval.high)}"


def _verdict(comparison: Comparison) -> str:
    if comparison.distinguishable is None:
        return "no interval"
    if not comparison.distinguishable:
        return "undecided"
    lower = comparison.difference < 0
    return "better" if lower == (_BETTER.get(comparison.name) == "lower") else "worse"
