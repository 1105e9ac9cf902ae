"""Scores as a table for people, and as JSON that later calls can compare with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter
from rich.console import Console
from rich.table import Table

from convergan.images.sizes import Sizes
from convergan.json_files import read_json_as
from convergan.metrics.metric import NOT_ASKED_FOR, Comparison, Estimate
from convergan.scoring.note import Note
from convergan.statistics.intervals import Interval

SCHEMA = 2
"""Version of the JSON format."""

_BETTER = {"FID": "lower", "FID infinity": "lower", "KID": "lower"}
"""Numbers for which lower is better; for all others higher is better."""

_LARGE_KID = 10

_PRECISE = {"FID": "z.2f", "FID infinity": "z.2f", "KID": "z.5f", "Inception score": ".3f"}


@dataclass(frozen=True)
class EarlierScores:
    """Scores that an earlier call wrote."""

    place: str
    """Path of the file."""

    images: str
    """Path of the images that were scored."""

    numbers: dict[str, tuple[Estimate, dict[str, Any]]]
    """Numbers by name, each with its fingerprint."""

    notes: list[Note] = field(default_factory=list)
    """Notes of the earlier call."""

    sizes: Sizes | None = None
    """Sizes of the images that were scored; None: not known."""

    def fingerprint(self, metric: str) -> dict[str, Any] | None:
        """Fingerprint of a metric's numbers; None if there are none."""
        fingerprints = (fingerprint for _, fingerprint in self.numbers.values())
        return next((entry for entry in fingerprints if entry.get("metric") == metric), None)


def print_scores(
    console: Console, estimates: Sequence[Estimate], comparisons: Sequence[Comparison]
) -> None:
    """Print a table of numbers and intervals, and the methods of the intervals.

    With comparisons the table has both numbers, their difference with its interval, and a verdict.
    """
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    columns = ["score", "95 % interval"]
    if comparisons:
        columns = ["score", "versus", "difference", "95 % interval", "verdict"]
    for column in ["", *columns]:
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    compared = {comparison.name: comparison for comparison in comparisons}
    for estimate in estimates:
        text, comparison = _formatter(estimate.name), compared.get(estimate.name)
        if comparison is not None:
            cells = [
                text(comparison.first.value),
                text(comparison.second.value),
                text(comparison.difference),
                _interval(comparison.interval, text),
                _verdict(comparison),
            ]
        elif comparisons:
            cells = [text(estimate.value), "", "", "", "not compared"]
        else:
            spread = "" if estimate.stdev is None else f" ± {text(estimate.stdev)}"
            cells = [text(estimate.value) + spread, _interval(estimate.interval, text)]
        table.add_row(estimate.name, *cells)
    console.print(table)
    for line in [*_methods(estimates), *_missing(comparisons)]:
        console.print(line, highlight=False)
    tested = sum(comparison.p_holm is not None for comparison in comparisons)
    if tested > 1:
        console.print(
            f"each interval is for one difference; verdicts are corrected (Holm) for all {tested}",
            highlight=False,
        )


def scores_as_dict(
    estimates: Sequence[tuple[str, Estimate]],
    comparisons: Sequence[tuple[str, Comparison]],
    fingerprints: Mapping[Any, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """List of numbers for the JSON, each with everything that it depends on."""
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
                "method": comparison.second.method,
                "difference": comparison.difference,
                "difference_interval": comparison.interval,
                "p_value": comparison.p_value,
                "p_holm": comparison.p_holm,
                "distinguishable": comparison.distinguishable,
            }
        entries.append(entry)
    return entries


def read_scores(path: Path) -> EarlierScores:
    """Read the numbers in a JSON file of `convergan score`.

    Raises:
        UserError: the file does not exist, or is another kind of file.
    """
    content = read_json_as(path, _FILE, "the JSON of convergan score")
    numbers = {score.name: (_estimate(score), score.fingerprint) for score in content.scores}
    images = content.images
    return EarlierScores(str(path), images.place, numbers, content.notes, images.sizes)


@dataclass(frozen=True)
class _Score:
    """Fields of an entry of `scores_as_dict` that are read."""

    name: str
    value: FiniteFloat | None
    stdev: FiniteFloat | None
    interval: tuple[FiniteFloat | None, FiniteFloat | None] | None
    fingerprint: dict[str, Any]
    method: str = ""


@dataclass(frozen=True)
class _Images:
    place: str
    sizes: Sizes | None = None


@dataclass(frozen=True)
class _File:
    images: _Images
    scores: list[_Score]
    notes: list[Note] = field(default_factory=list)
    schema: Annotated[int, Field(ge=1, le=SCHEMA)] = 1
    """Version of the format; 1 has no notes and methods."""


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
    """One line for each method of intervals, or reason for their absence, with its numbers."""
    by_method: dict[str, list[Estimate]] = {}
    for estimate in estimates:
        by_method.setdefault(estimate.method, []).append(estimate)
    return [
        f"{'intervals' if group[0].interval is not None else 'no interval'} of"
        f" {', '.join(estimate.name for estimate in group)}: {method}"
        for method, group in by_method.items()
        if method and method != NOT_ASKED_FOR
    ]


def _missing(comparisons: Sequence[Comparison]) -> list[str]:
    """One line for each reason why numbers of the set beside have no interval, with their names.

    The reasons of the scored set are those of its estimates.
    """
    names_by_reason: dict[str, list[str]] = {}
    for comparison in comparisons:
        first, second = comparison.first, comparison.second
        if first.interval is not None and second.interval is None:
            names_by_reason.setdefault(second.method, []).append(comparison.name)
    return [
        f"no interval of {', '.join(names)} of versus" + (f": {reason}" if reason else "")
        for reason, names in names_by_reason.items()
    ]


def _formatter(name: str) -> Any:
    def text(value: float) -> str:
        # Five decimals of a large KID would not fit.
        large = name == "KID" and abs(value) >= _LARGE_KID
        return format(value, "z.2f" if large else _PRECISE.get(name, ".3f"))

    return text


def _interval(interval: Any, text: Any) -> str:
    return "none" if interval is None else f"{text(interval.low)} to {text(interval.high)}"


def _verdict(comparison: Comparison) -> str:
    if comparison.distinguishable is None:
        return "no interval"
    if not comparison.distinguishable:
        return "undecided"
    lower = comparison.difference < 0
    return "better" if lower == (_BETTER.get(comparison.name) == "lower") else "worse"
