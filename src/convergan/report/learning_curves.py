"""Test errors of all arms during training: at equal time, and at equal steps."""

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
"""Units of time: name, symbol, length in seconds, and the shortest training in seconds to use it for."""

Position = Callable[[ArmSummary, EpochLine | None], float]
"""Function to the position of an arm's epoch, or of its end, on the horizontal axis; NaN if unknown."""


def learning_curves(inputs: ReportInputs) -> list[Chart]:
    """The error rate of each arm over the time and over the steps of its own training; none without arms."""
    longest = max((x for arm in inputs.arms for x, _ in _points(arm, _seconds)), default=None)
    if longest is None:
        return []
    unit, short, length, _ = next(unit for unit in _UNITS if longest >= unit[-1])
    over_time = _chart(
        inputs,
        title="At equal time",
        name="arms-time",
        axis=f"{unit} of training",
        position=lambda arm, epoch: _seconds(arm, epoch) / length,
        write=lambda x: f"{x:.3g}{SPACE}{short}",
    )
    over_steps = _chart(
        inputs,
        title="At equal steps",
        name="arms-steps",
        axis="steps of training",
        position=_steps,
        write=lambda x: f"{count(int(x))}{SPACE}steps",
    )
    return [chart for chart in (over_time, over_steps) if chart]


def _seconds(arm: ArmSummary, epoch: EpochLine | None) -> float:
    return 60 * arm.minutes if epoch is None else epoch.train_seconds


def _steps(arm: ArmSummary, epoch: EpochLine | None) -> float:
    if epoch is not None:
        return epoch.step or math.nan
    return math.nan if arm.steps is None else arm.steps


def _points(arm: ArmSummary, position: Position) -> list[tuple[float, float]]:
    """Positions and error rates of an arm's epochs; for an arm without epochs, those of its end."""
    pairs = [
        (position(arm, epoch), share_wrong(epoch.test_errors, epoch.test_size))
        for epoch in arm.epochs
    ]
    if not arm.epochs and arm.test is not None:
        pairs = [(position(arm, None), arm.test.rate)]
    return [(x, rate) for x, rate in pairs if rate is not None and math.isfinite(x)]


def _chart(
    inputs: ReportInputs,
    *,
    title: str,
    name: str,
    axis: str,
    position: Position,
    write: Callable[[float], str],
) -> Chart | None:
    lines = [
        Line(arm_title(arm.name), [x for x, _ in points], [rate for _, rate in points], style)
        for style, arm in enumerate(inputs.arms)
        if (points := _points(arm, position))
    ]
    if not lines:
        return None
    top, note = top_of(lines)
    svg = line_chart(
        lines,
        name=name,
        x_label=axis,
        y_label="error rate",
        y_top=top,
        percent=True,
        integer_x=False,
    )
    last = [f"{percent(line.values[-1])} after {write(line.x[-1])}" for line in lines]
    ends = (f"{line.name}: {end}" for line, end in zip(lines, last, strict=True))
    return Chart(
        title=title,
        svg=svg,
        legend=list(zip(lines, last, strict=True)),
        description=f"Line chart: error rate of the arms, {title.lower()}. {'; '.join(ends)}.",
        caption=f"{note}{counted(inputs)}",
    )
