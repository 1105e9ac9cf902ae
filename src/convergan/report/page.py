"""The page: what stands in it, from the verdict down to the provenance."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from convergan.files import write_text
from convergan.page.environment import templates
from convergan.page.images import grid_picture, single_picture
from convergan.page.words import count, number
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.report.confusion import Confusion
from convergan.report.curves import charts
from convergan.report.inputs import ReportInputs
from convergan.report.words import confidence, duration, epoch_ranges, rows, tested


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One classifier's errors, with its bar in percent of the widest."""

    name: str
    explanation: str
    kind: str
    errors: int
    size: int
    rate: float
    interval: tuple[float, float] | None
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
        decision=(inputs.results or {}).get("decision"),
        bars=_bars(inputs.results or {}),
        comparison=_comparison(inputs.results or {}),
        tested=tested(inputs.results),
        facts=_facts(inputs),
        charts=charts(inputs),
        real=grid_picture(inputs.real_images) if inputs.real_images.size else None,
        generated=grid_picture(inputs.generated_images) if inputs.generated_images.size else None,
        confusion=None
        if inputs.confusion is None
        else Confusion.of(inputs.confusion, inputs.classes),
        warned=_warned(inputs.warnings),
        recipe=list(rows(inputs.recipe)),
        manifest=list(rows(inputs.manifest)),
    )


def _bars(results: dict[str, Any]) -> list[Bar]:
    present = [
        (name, explanation, kind, key)
        for name, explanation, kind, key in (
            ("Semi-supervised GAN", "labelled, unlabelled and generated images", "gan", ""),
            (
                "Supervised baseline",
                "the same network, on the labelled images alone",
                "baseline",
                "baseline_",
            ),
        )
        if results.get(f"{key}test_error_rate") is not None
    ]
    intervals = {key: results.get(f"{key}test_interval") for *_, key in present}
    rates = [results[f"{key}test_error_rate"] for *_, key in present]
    scale = (
        max([*rates, *(interval[1] for interval in intervals.values() if interval)], default=0) or 1
    )
    return [
        Bar(
            name=name,
            explanation=explanation,
            kind=kind,
            errors=results[f"{key}test_errors"],
            size=results["test_size"],
            rate=results[f"{key}test_error_rate"],
            interval=intervals[key],
            scale=scale,
        )
        for name, explanation, kind, key in present
    ]


def _comparison(results: dict[str, Any]) -> str | None:
    errors, baseline = results.get("test_errors"), results.get("baseline_test_errors")
    if errors is None or baseline is None:
        return None
    images = f"on the same {tested(results)}"
    if errors == baseline:
        return f"As many mistakes with the GAN as without it, {images}."
    fewer = "fewer" if errors < baseline else "more"
    difference = abs(baseline - errors)
    share = f" ({100 * difference / baseline:.0f}\N{NO-BREAK SPACE}% {fewer})" if baseline else ""
    return f"{count(difference)} {fewer} mistakes with the GAN than without it, {images}{share}."


def _facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """The numbers to know beside the verdict, as far as this run has them."""
    results, last = inputs.results or {}, inputs.epochs[-1] if inputs.epochs else {}
    chosen = results.get("epoch_chosen")
    generated = {} if inputs.results else last
    facts = (
        ("labelled images", results.get("labels"), count),
        ("test images", None if results.get("folds") else results.get("test_size"), count),
        ("epochs", last.get("epoch"), count),
        ("result from epoch", None if chosen == last.get("epoch") else chosen, count),
        ("training time", results.get("train_seconds") or last.get("train_seconds"), duration),
        ("device", inputs.manifest.get("device"), str),
        ("precision", inputs.manifest.get("precision"), _precision),
        ("diversity (data: 1)", generated.get("diversity"), number),
        ("“real” for generated", generated.get("generated_score"), number),
    )
    return [(name, write(value)) for name, value, write in facts if value is not None]


def _precision(of_manifest: str) -> str:
    return FORMER_PRECISIONS.get(of_manifest, of_manifest)


def _warned(warnings: list[dict[str, Any]]) -> list[Warned]:
    def kind(warning: dict[str, Any]) -> str:
        return str(warning["kind"])

    grouped = ((name, list(group)) for name, group in groupby(sorted(warnings, key=kind), key=kind))
    return [
        Warned(
            name,
            epoch_ranges(warning["epoch"] for warning in group),
            group[-1]["message"],
            group[-1]["advice"],
        )
        for name, group in grouped
    ]
