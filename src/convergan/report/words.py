"""Formats of numbers and settings in the report of a run."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from convergan.page.words import SPACE, chance, is_no_evidence, percent
from convergan.report.inputs import ReportInputs

_LIST_SHOWN = 8


def confidence(probability: float) -> str:
    """Format a probability, but never as "100 %": no classifier is that sure."""
    return f"over 99.9{SPACE}%" if probability > 0.9995 else percent(probability)


def p_in_words(p_value: float) -> str:
    """Format a p-value: "p = 0.031", "p below 0.001", "no evidence of a difference"."""
    if is_no_evidence(p_value):
        return "no evidence of a difference"
    return f"p{SPACE}{'' if p_value < 0.001 else '= '}{chance(p_value)}"


def tested(inputs: ReportInputs) -> str:
    """Name of the images on which the errors of a run are counted."""
    if inputs.results and inputs.results.folds:
        return "labelled images"
    on_held_out = inputs.results is not None and inputs.results.tested_on_held_out
    return "held-out images" if on_held_out else "test images"


def sentences(text: str) -> list[str]:
    """The sentences of a text: each ends before a space and a capital letter."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f}{SPACE}s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded}{SPACE}s"
    if rounded < 3600:
        return f"{rounded // 60}{SPACE}min {rounded % 60}{SPACE}s"
    return f"{rounded // 3600}{SPACE}h {rounded % 3600 // 60}{SPACE}min"


def epoch_ranges(epochs: Iterable[int]) -> str:
    """Format epochs, such as `[3, 4, 5, 9]` as "epochs 3 to 5, 9"."""
    ranges: list[list[int]] = []
    for epoch in sorted(set(epochs)):
        if ranges and epoch == ranges[-1][1] + 1:
            ranges[-1][1] = epoch
        else:
            ranges.append([epoch, epoch])
    text = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in ranges)
    single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    return f"epoch {text}" if single else f"epochs {text}"


def rows(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as lines of a table: `data.source`, `digits`."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _value_text(value)


def _value_text(value: Any) -> str:
    if value is None or value in ([], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        start = ", ".join(_value_text(item) for item in value[:_LIST_SHOWN])
        return start if len(value) <= _LIST_SHOWN else f"{len(value):,} values: {start}, …"
    if isinstance(value, dict):
        return " ".join(f"{key}: {_value_text(part)}" for key, part in value.items())
    return str(value)
