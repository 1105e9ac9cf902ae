"""The curves of a report, and their captions."""

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from convergan.page.chart import Chart
from convergan.page.figures import Line, line_chart
from convergan.page.words import number, percent
from convergan.recipes.arm_words import arm_title
from convergan.report.arms import chosen_by_tests, saved_arm
from convergan.report.inputs import ReportInputs
from convergan.runs.epochs import EpochLine

Value = Callable[[EpochLine], float | None]
"""Function that reads a number of an epoch."""


def charts(inputs: ReportInputs) -> list[Chart]:
    """The charts that this run has numbers for."""
    marked = sorted({warning.epoch for warning in inputs.warnings})
    candidates = (make(inputs, marked) for make in (_errors, _losses, _scores, _diversity))
    return [chart for chart in candidates if chart]


def _line(name: str, style: int, epochs: Sequence[EpochLine], value: Value) -> Line | None:
    """The line of a value; None if no epoch has it. NaN and infinity, from broken runs, are left out."""
    pairs = [(epoch.epoch, value(epoch)) for epoch in epochs]
    points = [(x, float(y)) for x, y in pairs if y is not None and math.isfinite(y)]
    return Line(name, [x for x, _ in points], [y for _, y in points], style) if points else None


def _present(lines: Iterable[Line | None]) -> list[Line]:
    return [line for line in lines if line]


def _legend(lines: Sequence[Line], write: Callable[[float], str]) -> list[tuple[Line, str]]:
    return [(line, write(line.values[-1])) for line in lines]


def _chart(
    *, title: str, svg: Markup, legend: list[tuple[Line, str]], caption: str, marked: list[int]
) -> Chart:
    last = (f"{line.name}: {value} at epoch {line.x[-1]}" for line, value in legend)
    return Chart(
        title=title,
        svg=svg,
        legend=legend,
        description=f"Line chart: {title}. " + "; ".join(last) + ".",
        caption=caption,
        marked="epoch with a warning" if marked else "",
    )


def _errors(inputs: ReportInputs, marked: list[int]) -> Chart | None:
    name, short = _names(inputs)
    baseline = "baseline of a member" if inputs.members else "supervised baseline"
    values: tuple[tuple[str, Value], ...] = (
        (name, lambda epoch: share_wrong(epoch.test_errors, epoch.test_size)),
        (baseline, lambda epoch: share_wrong(epoch.baseline_test_errors, epoch.test_size)),
        (
            f"{short}, without EMA",
            lambda epoch: share_wrong(epoch.raw_test_errors, epoch.test_size),
        ),
        (
            f"{short}, validation images",
            lambda epoch: share_wrong(epoch.validation_errors, epoch.validation_size),
        ),
    )
    lines = _present(
        _line(name, style, inputs.epochs, value) for style, (name, value) in enumerate(values)
    )
    if not lines:
        return None
    top, note = top_of(lines)
    wrong = "Share of the images that are misclassified; lower is better. "
    expected = _expected(inputs, len(values))
    if expected is not None:
        lines.append(expected)
        seeds = inputs.expected.seeds if inputs.expected else ()
        note += (
            "The band spans the fewest to the most errors of earlier runs of this recipe, with seeds"
            f" {', '.join(map(str, seeds))}; the line in it is their mean. "
        )
    return _chart(
        title="Error rate",
        svg=line_chart(
            lines,
            name="errors",
            x_label="epoch",
            y_label="error rate",
            y_top=top,
            percent=True,
            marked=marked,
        ),
        legend=_legend(lines, percent),
        caption=wrong + note + counted(inputs),
        marked=marked,
    )


def _expected(inputs: ReportInputs, style: int) -> Line | None:
    """The error rates of earlier runs of this recipe; None where there are none."""
    curve = inputs.expected
    if curve is None:
        return None
    return Line(
        f"mean of {len(curve.seeds)} earlier runs",
        curve.epochs,
        curve.mean,
        style,
        low=curve.low,
        high=curve.high,
    )


def _names(inputs: ReportInputs) -> tuple[str, str]:
    """The full and the short name of the classifier."""
    saved = saved_arm(inputs.arms)
    if saved is not None:
        title = arm_title(saved.name)
        return title, title
    if inputs.members:
        return "a member", "a member"
    if inputs.generated_images is None:
        return "classifier", "classifier"
    return "semi-supervised GAN", "GAN"


def share_wrong(errors: int | None, size: int | None) -> float | None:
    """Error rate, errors / size; None if either is unknown."""
    return errors / size if errors is not None and size else None


def top_of(lines: Sequence[Line]) -> tuple[float, str]:
    """The upper end of a chart of error rates, and a note for its caption on values above."""
    # The first epochs are often so bad that the end would be a flat line at the bottom.
    highest = max(max(line.values) for line in lines)
    settled = max(max(line.values[len(line.values) // 2 :]) for line in lines)
    if settled and highest > 2.5 * settled:
        return 2 * settled, f"The first epochs lie above the chart (up to {percent(highest)}). "
    return 1.08 * highest or 1.0, ""


def counted(inputs: ReportInputs) -> str:
    """A note for the caption of a chart of error rates on the labels behind them."""
    if chosen_by_tests(inputs):
        return "No training saw these labels, but the saved arm was chosen by them."
    if inputs.results and inputs.results.folds:
        return (
            "Each labelled image is counted in the fold that was trained without it; nothing was "
            "chosen by it there."
        )
    return "The test labels are used only to count errors: nothing was chosen by them."


def _losses(inputs: ReportInputs, marked: list[int]) -> Chart | None:
    def loss(term: str) -> Value:
        return lambda epoch: epoch.losses.get(term)

    terms = dict.fromkeys(term for epoch in inputs.epochs for term in epoch.losses)
    lines = _present(
        _line(
            term.replace("/", ": ").replace("_", " "),
            style,
            inputs.epochs,
            loss(term),
        )
        for style, term in enumerate(terms)
    )
    if not lines:
        return None
    values = [value for line in lines for value in line.values]
    log = min(values) > 0 and max(values) > 20 * min(values)
    caption = "The loss that the classifier minimizes, term by term. Look for a term that explodes."
    if any(term.startswith("generator/") for term in terms):
        caption = (
            "The loss that each player minimizes, term by term. In a game between two players, losses need "
            "not fall: look for a term that explodes or vanishes."
        )
    return _chart(
        title="Losses",
        svg=line_chart(
            lines,
            name="losses",
            x_label="epoch",
            y_label="loss (logarithmic)" if log else "loss",
            log=log,
            marked=marked,
        ),
        legend=_legend(lines, number),
        caption=caption,
        marked=marked,
    )


def _scores(inputs: ReportInputs, marked: list[int]) -> Chart | None:
    lines = _present(
        [
            _line("real images", 0, inputs.epochs, lambda epoch: epoch.real_score),
            _line("generated images", 1, inputs.epochs, lambda epoch: epoch.generated_score),
        ]
    )
    if not lines:
        return None
    caption = (
        "How real the discriminator finds real and generated images on average: 1 means certainly real, "
        "0 certainly generated. The closer the lines, the harder it is to tell the two apart."
    )
    return _chart(
        title="The discriminator’s belief",
        svg=line_chart(
            lines,
            name="scores",
            x_label="epoch",
            y_label="probability of “real”",
            y_top=1.03,
            marked=marked,
        ),
        legend=_legend(lines, number),
        caption=caption,
        marked=marked,
    )


def _diversity(inputs: ReportInputs, marked: list[int]) -> Chart | None:
    line = _line("generated images", 0, inputs.epochs, lambda epoch: epoch.diversity)
    if not line:
        return None
    caption = (
        "How much generated images differ from each other, compared with real ones; the line at 1 marks "
        "the data. Near 0, the generator repeats a single image: it has collapsed."
    )
    return _chart(
        title="Diversity",
        svg=line_chart(
            [line],
            name="diversity",
            x_label="epoch",
            y_label="diversity (data: 1)",
            y_top=1.08 * max(1.0, *line.values),
            reference=1,
            marked=marked,
        ),
        legend=_legend([line], number),
        caption=caption,
        marked=marked,
    )
