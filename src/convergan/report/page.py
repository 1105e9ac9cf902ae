"""The page: what stands in it, from the verdict down to the provenance."""

import math
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from convergan.files import write_text
from convergan.json_files import json_values
from convergan.page.environment import templates
from convergan.page.images import grid_picture, single_picture
from convergan.page.words import count, number
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.report.confusion import Confusion
from convergan.report.curves import charts
from convergan.report.inputs import ReportInputs
from convergan.report.words import confidence, duration, epoch_ranges, rows, tested
from convergan.runs.epochs import HealthWarning
from convergan.runs.results import ErrorRate, Results


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One classifier's errors, with its bar in percent of the widest."""

    name: str
    explanation: str
    kind: str
    found: ErrorRate
    scale: float

    def share(self, rate: float) -> float:
        return round(100 * rate / self.scale, 2)


@dataclass(frozen=True)
class Warned:
    """All warnings of one kind."""

    kind: str
    when: str
    message: str
    advice: str


def write_report(path: Path, inputs: ReportInputs) -> None:
    """Write the report of a run as one HTML file that needs no other file, no network and no script.

    Bytes of a file's name that are no UTF-8 stand in it as escapes.
    """
    write_text(path, _render(inputs).encode("utf-8", "backslashreplace").decode("utf-8"))


def _render(inputs: ReportInputs) -> str:
    environment = templates("convergan.report")
    environment.filters |= {"confidence": confidence, "picture": single_picture}
    return environment.get_template("report.html.j2").render(
        inputs=inputs,
        results=inputs.results,
        bars=_bars(inputs.results),
        comparison=_comparison(inputs.results),
        tested=tested(inputs.results),
        facts=_facts(inputs),
        charts=charts(inputs),
        real=grid_picture(inputs.real_images) if inputs.real_images.size else None,
        generated=grid_picture(inputs.generated_images)
        if inputs.generated_images is not None and inputs.generated_images.size
        else None,
        confusion=None
        if inputs.confusion is None
        else Confusion.of(inputs.confusion, inputs.classes),
        warned=_warned(inputs.warnings),
        recipe=list(rows(inputs.recipe)),
        manifest=list(rows(json_values(inputs.manifest))) if inputs.manifest else [],
    )


def _bars(results: Results | None) -> list[Bar]:
    if results is None:
        return []
    present = [
        (name, explanation, kind, found)
        for name, explanation, kind, found in (
            (
                "Semi-supervised GAN",
                "labelled, unlabelled and generated images",
                "gan",
                results.test,
            ),
            (
                "Supervised baseline",
                "the same network, on the labelled images alone",
                "baseline",
                results.baseline_test,
            ),
        )
        if found is not None
    ]
    scale = max((max(found.rate, found.interval.high) for *_, found in present), default=0) or 1
    return [
        Bar(name=name, explanation=explanation, kind=kind, found=found, scale=scale)
        for name, explanation, kind, found in present
    ]


def _comparison(results: Results | None) -> str | None:
    if results is None or results.test is None or results.baseline_test is None:
        return None
    errors, baseline = results.test.errors, results.baseline_test.errors
    images = f"on the same {tested(results)}"
    if errors == baseline:
        return f"As many mistakes with the GAN as without it, {images}."
    fewer = "fewer" if errors < baseline else "more"
    difference = abs(baseline - errors)
    share = f" ({100 * difference / baseline:.0f}\N{NO-BREAK SPACE}% {fewer})" if baseline else ""
    return f"{count(difference)} {fewer} mistakes with the GAN than without it, {images}{share}."


def _facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """The numbers to know beside the verdict, as far as this run has them."""
    results, last = inputs.results, inputs.epochs[-1] if inputs.epochs else None
    facts: list[tuple[str, str]] = []
    if results is not None:
        facts.append(("labelled images", count(results.labels)))
        if results.test_size is not None and not results.folds:
            facts.append(("test images", count(results.test_size)))
    if last is not None:
        facts.append(("epochs", count(last.epoch)))
    chosen = results.epoch_chosen if results else None
    if chosen is not None and not (last and chosen == last.epoch):
        facts.append(("result from epoch", count(chosen)))
    seconds = results.train_seconds if results else last.train_seconds if last else math.nan
    if math.isfinite(seconds):
        facts.append(("training time", duration(seconds)))
    if inputs.manifest is not None:
        precision = inputs.manifest.precision
        facts.append(("device", inputs.manifest.device))
        facts.append(("precision", FORMER_PRECISIONS.get(precision, precision)))
    if last is not None and results is None:
        facts += [
            (name, number(value))
            for name, value in (
                ("diversity (data: 1)", last.diversity),
                ("“real” for generated", last.generated_score),
            )
            if math.isfinite(value)
        ]
    return facts


def _warned(warnings: list[HealthWarning]) -> list[Warned]:
    kind = attrgetter("kind")
    grouped = ((name, list(group)) for name, group in groupby(sorted(warnings, key=kind), key=kind))
    return [
        Warned(
            name,
            epoch_ranges(warning.epoch for warning in group),
            group[-1].message,
            group[-1].advice,
        )
        for name, group in grouped
    ]
