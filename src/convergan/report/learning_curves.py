"""The test errors of all arms as they train: at equal time, and at equal steps."""

import math
from collections.abc import Callable

from convergan.page.chart import Chart
from convergan.page.figures import Line, line_chart
from convergan.page.words import SPACE, count, percent
from convergan.recipes.arm_words import arm_title
from convergan.report.curves import counted, share_wrong, top_of
from convergan.report.inputs import ArmSummary, ReportInputs
from convergan.runs.epochs import EpochLine

_UNITS = (("hours", "h", 3600, 180 * 60), ("minutes", "min", 60, 120), ("seconds", "s", 1, 0))
"""Units of time: the seconds in one, and how many seconds of training it takes to be used."""

Place = Callable[[ArmSummary, EpochLine | None], float]
"""Where an epoch of an arm stands on the horizontal axis, or its end; NaN where that is not known."""


def learning_curves(inputs: ReportInputs) -> list[Chart]:
    """The error rate of each arm over the time and over the steps of its own training; none without arms."""
    longest = max((x for arm in inputs.arms for x, _ in _points(arm, _seconds)), default=None)
    if longest is None:
        return []
    unit, short, length, _ = next(each for each in _UNITS if longest >= each[-1])
    over_time = _chart(
        inputs,
        title="At equal time",
        name="arms-time",
        axis=f"{unit} of training",
        place=lambda arm, epoch: _seconds(arm, epoch) / length,
        written=lambda x: f"{x:.3g}{SPACE}{short}",
    )
    over_steps = _chart(
        inputs,
        title="At equal steps",
        name="arms-steps",
        axis="steps of training",
        place=_steps,
        written=lambda x: f"{count(int(x))}{SPACE}steps",
    )
    return [chart for chart in (over_time, over_steps) if chart]


def _seconds(arm: ArmSummary, epoch: EpochLine | None) -> float:
    return 60 * arm.minutes if epoch is None else epoch.train_seconds


def _steps(arm: ArmSummary, epoch: EpochLine | None) -> float:
    if epoch is not None:
        return epoch.step or math.nan
    return math.nan if arm.steps is None else arm.steps


def _points(arm: ArmSummary, place: Place) -> list[tuple[float, float]]:
    """Places and error rates of its epochs; of an arm without any, those of its end."""
    found = [
        (place(arm, epoch), share_wrong(epoch.test_errors, epoch.test_size)) for epoch in arm.epochs
    ]
    if not arm.epochs and arm.test is not None:
        found = [(place(arm, None), arm.test.rate)]
    return [(x, rate) for x, rate in found if rate is not None and math.isfinite(x)]


def _chart(
    inputs: ReportInputs,
    *,
    title: str,
    name: str,
    axis: str,
    place: Place,
    written: Callable[[float], str],
) -> Chart | None:
    lines = [
        Line(arm_title(arm.name), [x for x, _ in points], [rate for _, rate in points], style)
        for style, arm in enumerate(inputs.arms)
        if (points := _points(arm, place))
    ]
    if not lines:
        return None
    top, above = top_of(lines)
    svg = line_chart(
        lines,
        name=name,
        x_label=axis,
        y_label="error rate",
        y_top=top,
        percent=True,
        whole=False,
    )
    last = [f"{percent(line.values[-1])} after {written(line.x[-1])}" for line in lines]
    ends = (f"{line.name}: {end}" for line, end in zip(lines, last, strict=True))
    return Chart(
        title=title,
        svg=svg,
        legend=list(zip(lines, last, strict=True)),
        description=f"Line chart: error rate of the arms, {title.lower()}. {'; '.join(ends)}.",
        caption=f"{above}{counted(inputs)}",
    )
