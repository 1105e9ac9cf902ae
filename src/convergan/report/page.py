"""The page of a report, from the verdict down to the provenance."""

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np

from convergan.files import write_text
from convergan.json_files import json_values
from convergan.page.environment import templates
from convergan.page.images import Picture, grid_picture, single_picture, strip_picture
from convergan.recipes.arm_words import arm_title
from convergan.report.arms import arm_rows, choice, chosen_by_tests
from convergan.report.confusion import Confusion
from convergan.report.curves import charts
from convergan.report.inputs import ReportInputs
from convergan.report.key_numbers import chance_of_difference, comparison, facts, key_bars
from convergan.report.learning_curves import learning_curves
from convergan.report.members import averaging, member_rows
from convergan.report.words import confidence, duration, epoch_ranges, rows, sentences, tested
from convergan.runs.epochs import HealthWarning


@dataclass(frozen=True)
class Warned:
    """All warnings of one kind."""

    kind: str
    epochs: str
    message: str
    advice: str


def write_report(path: Path, inputs: ReportInputs) -> None:
    """Write the report of a run as one HTML file that needs no other file, no network and no script.

    Bytes of a file's name that are not UTF-8 are written as escapes.
    """
    write_text(path, _render(inputs).encode("utf-8", "backslashreplace").decode("utf-8"))


def _render(inputs: ReportInputs) -> str:
    environment = templates("convergan.report")
    environment.filters |= {
        "arm_title": arm_title,
        "confidence": confidence,
        "duration": duration,
        "picture": single_picture,
        "strip": strip_picture,
    }
    return environment.get_template("report.html.j2").render(
        inputs=inputs,
        verdict=sentences(inputs.verdict),
        results=inputs.results,
        bars=key_bars(inputs),
        comparison=comparison(inputs),
        p_value=chance_of_difference(inputs),
        tested=tested(inputs),
        facts=facts(inputs),
        arms=arm_rows(inputs.arms),
        choice=choice(inputs.arms),
        members=member_rows(inputs),
        averaging=averaging(inputs),
        chosen_by_tests=chosen_by_tests(inputs),
        learning_curves=learning_curves(inputs),
        charts=charts(inputs),
        real=None if inputs.generated_images is None else _grid(inputs.real_images),
        generated=_grid(inputs.generated_images),
        confusion=None
        if inputs.confusion is None
        else Confusion.from_counts(inputs.confusion, inputs.classes),
        warned=_warned(inputs.warnings),
        recipe=list(rows(inputs.recipe)),
        manifest=list(rows(json_values(inputs.manifest))) if inputs.manifest else [],
    )


def _grid(images: np.ndarray | None) -> Picture | None:
    return grid_picture(images) if images is not None and images.size else None


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
