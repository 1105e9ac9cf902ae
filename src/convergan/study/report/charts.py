"""Charts of participants' answers in a study's report, with their captions."""

import numpy as np

from convergan.page.chart import Chart
from convergan.page.figures import Line, line_chart
from convergan.page.words import percent
from convergan.study.analysis.findings import Arm, Findings
from convergan.study.analysis.rates import CHANCE, Rates
from convergan.study.design.staircase import TARGET
from convergan.study.report.figures import (
    Mark,
    Points,
    Row,
    interval_chart,
    scatter,
)
from convergan.study.report.formats import milliseconds, points
from convergan.study.report.verdict import measured

MOST_LINES = 6
"""Number of styles of lines; with more arms the lines would not be distinguishable."""


def threshold_chart(findings: Findings) -> Chart | None:
    """Draw the exposure thresholds of the timed arms; None without any."""
    ranked = sorted(measured(findings), key=lambda pair: -pair[1].exposure_ms.value)
    if not ranked:
        return None
    rows = [
        Row(
            arm.name,
            [
                Mark(
                    threshold.exposure_ms.value,
                    threshold.exposure_ms.participants,
                    threshold.exposure_ms.participants_and_images,
                    0,
                )
            ],
        )
        for arm, threshold in ranked
    ]
    values = [
        f"{arm.name}: {milliseconds(threshold.exposure_ms.value)}" for arm, threshold in ranked
    ]
    return Chart(
        title="Exposure thresholds",
        svg=interval_chart(
            rows, name="thresholds", x_label="exposure, in ms", tick=lambda x, _: f"{x:g}"
        ),
        legend=[],
        description=f"Exposure thresholds by arm. {'; '.join(values)}.",
        caption=f"How long people must see an image to be right {100 * TARGET:.0f}\N{NO-BREAK SPACE}% of the "
        "time: the longer, the better the generator. " + _lines(findings),
    )


def accuracy_chart(findings: Findings) -> Chart | None:
    """Draw the accuracy of the arms that are not timed, with chance; None without any."""
    arms = [arm for arm in _ranked(findings) if not arm.timed]
    if not arms:
        return None
    rows = [
        Row(
            arm.name,
            [
                Mark(
                    arm.accuracy.value,
                    arm.accuracy.participants,
                    arm.accuracy.participants_and_images,
                    0,
                )
            ],
        )
        for arm in arms
    ]
    return Chart(
        title="Accuracy",
        svg=interval_chart(rows, name="accuracy", x_label="right answers", reference=CHANCE),
        legend=[],
        description=_described("Accuracy by arm", [(arm.name, arm.accuracy.value) for arm in arms]),
        caption="Share of right answers; the dotted line is chance. " + _lines(findings),
    )


def error_chart(findings: Findings) -> Chart:
    """Draw the two kinds of error of every arm."""
    kinds = ("generated taken for real", "real taken for generated")
    rows, values = [], []
    for arm in _ranked(findings):
        marks = []
        for style, (kind, estimate) in enumerate(
            zip(kinds, (arm.error_on_generated, arm.error_on_real), strict=True)
        ):
            if estimate is not None:
                marks.append(
                    Mark(
                        estimate.value,
                        estimate.participants,
                        estimate.participants_and_images,
                        style,
                    )
                )
                values.append((f"{arm.name}, {kind}", estimate.value))
        rows.append(Row(arm.name, marks))
    return Chart(
        title="The two errors",
        svg=interval_chart(rows, name="errors", x_label="wrong answers"),
        legend=[(Points(kind, [], [], style), "") for style, kind in enumerate(kinds)],
        description=_described("Error rates by arm", values),
        caption="The share of generated images taken for real is the fooling rate. The share of "
        "real images taken for generated shows how suspicious people were. "
        + f"In timed arms a staircase drives the mean of both towards {percent(1 - TARGET)}. "
        * any(arm.timed for arm in findings.arms)
        + _lines(findings),
    )


def learning_chart(findings: Findings) -> Chart | None:
    """Draw accuracy over the trials, a line for each arm; None without a curve, or for too many arms."""
    arms = [arm for arm in findings.arms if arm.learning and len(arm.learning.blocks) > 1]
    if not arms or len(arms) > MOST_LINES:
        return None
    lines = [_learning_line(arm, style) for style, arm in enumerate(arms)]
    bounds = [value for line in lines for value in (*line.values, *line.low, *line.high)]
    gains = {
        arm.name: f"{points(arm.learning.gain.value)} points"
        for arm in arms
        if arm.learning and arm.learning.gain
    }
    return Chart(
        title="Learning",
        svg=line_chart(
            lines,
            name="learning",
            x_label="trial",
            y_label="right answers",
            y_bottom=max(0.0, min(CHANCE, *bounds) - 0.05),
            y_top=min(1.02, max(bounds) + 0.05),
            percent=True,
            reference=CHANCE,
        ),
        legend=[(line, gains.get(line.name, "")) for line in lines],
        description="Line chart: accuracy over the trials. "
        + "; ".join(
            f"{name}: {gain} from the first half to the second" for name, gain in gains.items()
        )
        + ".",
        caption=f"Right answers in blocks of {findings.block_trials} trials, with 95\N{NO-BREAK SPACE}% "
        "intervals over participants. Each name is followed by the accuracy in the second half of the trials "
        "minus that in the first. The grey line is chance.",
    )


def participants_chart(findings: Findings, rates: Rates) -> Chart | None:
    """Draw the two error rates of every participant who judged both kinds of images; None without any."""
    rates = rates.chosen(~np.isnan(rates.error_on_generated + rates.error_on_real))
    if len(rates) == 0:
        return None
    names = [arm.name for arm in findings.arms]
    combined = len(names) > MOST_LINES
    groups = [("participants", rates)] if combined else [
        (name, rates.chosen(rates.arm == name)) for name in names
    ]  # fmt: skip
    clouds = [
        Points(name, group.error_on_real.tolist(), group.error_on_generated.tolist(), style)
        for style, (name, group) in enumerate(groups)
    ]
    return Chart(
        title="Participants",
        svg=scatter(
            clouds,
            name="participants",
            x_label="real taken for generated",
            y_label="generated taken for real",
            errors=True,
        ),
        legend=[(cloud, f"{len(cloud.x):,}") for cloud in clouds],
        description=f"Scatter plot: the two error rates of {len(rates):,} participants.",
        caption="Each point is a participant. Above the dotted line people are biased towards “real”, below "
        "it towards “generated”. The nearer to the lower left corner, the better they tell the two apart.",
    )


def _ranked(findings: Findings) -> list[Arm]:
    return sorted(findings.arms, key=lambda arm: -arm.accuracy.value)


def _lines(findings: Findings) -> str:
    """Explain the lines of an interval chart."""
    intervals = "95\N{NO-BREAK SPACE}% intervals over participants"
    if any(arm.accuracy.participants_and_images for arm in findings.arms):
        return f"Thick lines: {intervals}; thin lines: over participants and images."
    return f"Lines: {intervals}."


def _learning_line(arm: Arm, style: int) -> Line:
    blocks = arm.learning.blocks if arm.learning else []
    intervals = [block.accuracy.participants for block in blocks]
    bands = [bounds for bounds in intervals if bounds is not None]
    complete = len(bands) == len(blocks)
    return Line(
        arm.name,
        [block.last_trial for block in blocks],
        [block.accuracy.value for block in blocks],
        style,
        low=[low for low, _ in bands] if complete else (),
        high=[high for _, high in bands] if complete else (),
    )


def _described(title: str, values: list[tuple[str, float]]) -> str:
    return f"{title}. " + "; ".join(f"{name}: {percent(value)}" for name, value in values) + "."
