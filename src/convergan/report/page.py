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
from convergan.report.key_numbers import (
    chance_of_difference,
    comparison,
    facts,
    key_bars,
    labels_of_tests,
)
from convergan.report.learning_curves import learning_curves
from convergan.report.members import averaging, member_rows
from convergan.report.words import (
    confidence,
    duration,
    epoch_ranges,
    p_in_words,
    rows,
    sentences,
    tested,
)
from convergan.runs.epochs import HealthWarning
from convergan.runs.few_tests import few_tests
from convergan.runs.results import Results


@dataclass(frozen=True)
class Warned:
    """All warnings of one kind."""

    kind: str
    epochs: str
    """Epochs of the warnings, in words; empty for a warning about the whole run."""

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
        "p_in_words": p_in_words,
        "picture": single_picture,
        "strip": strip_picture,
    }
    return environment.get_template("report.html.j2").render(
        inputs=inputs,
        verdict=sentences(inputs.verdict),
        results=inputs.results,
        bars=key_bars(inputs),
        comparison=comparison(inputs),
        chance_of_difference=chance_of_difference(inputs),
        labels_of_tests=labels_of_tests(inputs),
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
        warned=[*_warned_of_tests(inputs.results), *_warned(inputs.warnings)],
        recipe=list(rows(inputs.recipe)),
        manifest=list(rows(json_values(inputs.manifest))) if inputs.manifest else [],
    )


def _grid(images: np.ndarray | None) -> Picture | None:
    return grid_picture(images) if images is not None and images.size else None


def _warned_of_tests(results: Results | None) -> list[Warned]:
    """The warning about a test of few images, if it was one."""
    if results is None or results.test_size is None:
        return []
    warning = few_tests(results.test_size, held_out=results.tested_on_held_out, folds=results.folds)
    if warning is None:
        return []
    return [Warned("few test images", "", warning.message, warning.advice)]


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
