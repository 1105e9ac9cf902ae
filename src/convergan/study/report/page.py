"""The HTML page of a study's report: from the verdict down to the methods."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from convergan import __version__
from convergan.errors import UserError
from convergan.outputs import write_output
from convergan.page.chart import Chart
from convergan.page.environment import templates
from convergan.page.images import Picture, single_picture
from convergan.page.words import count
from convergan.study.analysis.findings import Findings, GeneratedImages, ImageRate
from convergan.study.design.staircase import FEWEST_TRIALS, LONGEST_MS, TARGET
from convergan.study.report import charts, formats, image_charts
from convergan.study.report.cautions import cautions
from convergan.study.report.inputs import StudyReport
from convergan.study.report.verdict import differs, measured, verdict

SHOWN_IMAGES = 6
"""Number of images of each set that fooled most, and that fooled least, on the page."""

MOST_BLOCKS = 4
"""Largest number of arms with a block at the top of the page; if there are more, only figures show them."""


@dataclass(frozen=True)
class Card:
    """One generated image among those that fooled most or least."""

    image: ImageRate
    picture: Picture | None


@dataclass(frozen=True)
class Extremes:
    """The images of a set that fooled most, and those that fooled least."""

    name: str
    fooled_most: list[Card]
    fooled_least: list[Card]


def write_page(path: Path, report: StudyReport) -> None:
    """Write the report as one HTML file that needs no other file, no network and no script.

    Raises:
        UserError: a picture cannot be read.
    """
    findings = report.findings
    environment = templates("convergan.study.report")
    environment.filters |= {"differs": differs} | {
        name: getattr(formats, name)
        for name in (
            "bounded",
            "correlation_words",
            "index",
            "index_interval",
            "interval",
            "milliseconds",
            "milliseconds_interval",
            "p_words",
            "points",
            "points_interval",
            "threshold_words",
            "times",
            "times_interval",
            "widest",
        )
    }
    html = environment.get_template("report.html.j2").render(
        report=report,
        findings=findings,
        notes=[*report.notes, *cautions(findings)],
        verdict=verdict(findings, simulated=report.simulated),
        blocks=findings.arms if len(findings.arms) <= MOST_BLOCKS else [],
        facts=_facts(findings),
        overview=_present(charts.accuracy_chart(findings), charts.error_chart(findings)),
        people=_present(
            charts.participants_chart(findings, report.rates), charts.learning_chart(findings)
        ),
        timed=[arm for arm in findings.arms if arm.timed],
        thresholds=measured(findings),
        exposures=charts.threshold_chart(findings),
        target=TARGET,
        longest_ms=LONGEST_MS,
        fewest_trials=FEWEST_TRIALS,
        by_arm=list(zip(findings.arms, findings.with_flagged.arms, strict=True))
        if findings.with_flagged
        else [],
        exposures_compared=sorted(
            findings.threshold_comparisons, key=lambda pair: pair.p_value or 0
        ),
        compared=sorted(findings.comparisons, key=lambda pair: pair.p_value or 0),
        sets=image_charts.sets_chart(findings),
        images=_image_charts(findings),
        extremes=[
            _extremes(image_set, report) for image_set in findings.image_sets if image_set.images
        ],
        unavailable=formats.unavailable_words(findings),
        version=__version__,
    )
    write_output(path, html)


def _facts(findings: Findings) -> list[tuple[str, str]]:
    seconds = [arm.response_seconds for arm in findings.arms if arm.response_seconds is not None]
    images = sum(len(image_set.images) for image_set in findings.image_sets)
    facts = (
        ("participants", count(findings.participants)),
        ("votes", count(findings.votes) if findings.votes is not None else ""),
        ("arms", count(len(findings.arms))),
        ("sets of generated images", count(len(findings.image_sets))),
        ("generated images judged", count(images) if images else ""),
        ("median response time", f"{np.median(seconds):.1f} s" if seconds else ""),
    )
    return [(name, value) for name, value in facts if value]


def _image_charts(findings: Findings) -> list[Chart]:
    return [
        chart
        for place, image_set in enumerate(findings.image_sets)
        if image_set.images
        for chart in _present(
            image_charts.images_chart(image_set, place),
            image_charts.image_scores_chart(image_set, place),
        )
    ]


def _extremes(image_set: GeneratedImages, report: StudyReport) -> Extremes:
    def cards(images: list[ImageRate]) -> list[Card]:
        return [Card(image, _picture(report, image.image)) for image in images]

    number = min(SHOWN_IMAGES, len(image_set.images) // 2)
    fooled_least = image_set.images[len(image_set.images) - number :][::-1]
    return Extremes(image_set.name, cards(image_set.images[:number]), cards(fooled_least))


def _picture(report: StudyReport, name: str) -> Picture | None:
    content = report.picture_of(name) if report.picture_of else None
    if content is None:
        return None
    try:
        with Image.open(BytesIO(content)) as image:
            return single_picture(np.asarray(image.convert("RGB")))
    except OSError as error:
        raise UserError(
            f"{name}: expected an image, got {len(content)} bytes of something else"
        ) from error


def _present(*charts_or_none: Chart | None) -> list[Chart]:
    return [chart for chart in charts_or_none if chart is not None]
