import math
from dataclasses import replace

from convergan.page.chart import Chart
from convergan.page.figures import Line
from convergan.report.curves import charts
from convergan.report.expected import ExpectedCurve
from convergan.report.inputs import ReportInputs
from convergan.runs.epochs import EpochLine


def by_title(inputs: ReportInputs) -> dict[str, Chart]:
    return {chart.title: chart for chart in charts(inputs)}


def lines(chart: Chart) -> list[Line]:
    return [key for key, _ in chart.legend if isinstance(key, Line)]


def with_epochs(inputs: ReportInputs, *epochs: EpochLine) -> ReportInputs:
    return replace(inputs, epochs=list(epochs), warnings=[])


def test_a_whole_run_has_all_charts(inputs: ReportInputs) -> None:
    run_charts = by_title(inputs)
    assert list(run_charts) == ["Error rate", "Losses", "The discriminator’s belief", "Diversity"]
    assert all(chart.marked for chart in run_charts.values())


def test_an_error_rate_is_errors_over_images(inputs: ReportInputs) -> None:
    epoch = EpochLine(
        epoch=1, test_errors=10, test_size=40, validation_errors=3, validation_size=30
    )
    [chart] = charts(with_epochs(inputs, epoch))
    assert [(line.name, line.values) for line in lines(chart)] == [
        ("semi-supervised GAN", [0.25]),
        ("GAN, validation images", [0.1]),
    ]
    assert "semi-supervised GAN: 25.0\N{NO-BREAK SPACE}% at epoch 1" in chart.description


def test_absent_and_infinite_values_leave_gaps(inputs: ReportInputs) -> None:
    losses = [1.0, math.nan, -math.inf, math.inf, 2.0]
    epochs = [EpochLine(epoch=n, losses={"a/b_c": loss}) for n, loss in enumerate(losses, start=1)]
    [chart] = charts(with_epochs(inputs, *epochs, EpochLine(epoch=6)))
    [line], [(_, last)] = lines(chart), chart.legend
    assert (line.name, line.x, line.values, last) == ("a: b c", [1, 5], [1.0, 2.0], "2")


def test_without_numbers_there_are_no_charts(inputs: ReportInputs) -> None:
    assert charts(with_epochs(inputs)) == []
    assert charts(with_epochs(inputs, EpochLine(epoch=1))) == []
    epoch = EpochLine(epoch=1, validation_errors=0, validation_size=0, test_errors=3)
    assert charts(with_epochs(inputs, epoch)) == []


def test_a_bad_start_is_named_rather_than_drawn(inputs: ReportInputs) -> None:
    errors = [90, 50, 6, 5, 5, 4]
    epochs = [EpochLine(epoch=n, test_errors=e, test_size=100) for n, e in enumerate(errors, 1)]
    [chart] = charts(with_epochs(inputs, *epochs))
    assert "above the chart (up to 90.0\N{NO-BREAK SPACE}%)" in chart.caption
    [chart] = charts(with_epochs(inputs, *epochs[2:]))
    assert "above the chart" not in chart.caption


def test_folds_are_counted_together(inputs: ReportInputs) -> None:
    assert inputs.results is not None
    run = with_epochs(inputs, EpochLine(epoch=1, test_errors=10, test_size=40))
    [chart] = charts(run)
    assert (
        "The test labels are used only to count errors" in chart.caption
        and "fold" not in chart.caption
    )
    [chart] = charts(replace(run, results=replace(inputs.results, folds=4)))
    assert "in the fold that was trained without it; nothing was chosen" in chart.caption
    assert "test images" not in chart.caption


def test_losses_that_are_zero_or_negative_can_be_drawn(inputs: ReportInputs) -> None:
    epochs = [
        EpochLine(epoch=n, losses={"generator": value}) for n, value in ((1, 0.0), (2, -700.0))
    ]
    [chart] = charts(with_epochs(inputs, *epochs))
    assert "logarithmic" not in chart.svg
    [chart] = charts(with_epochs(inputs, EpochLine(epoch=1, test_errors=0, test_size=5)))
    assert chart.svg


def test_earlier_runs_of_the_recipe_are_a_band_below_the_run(inputs: ReportInputs) -> None:
    expected = ExpectedCurve(
        recipe="mnist",
        labels=100,
        key="0" * 64,
        seeds=(0, 1, 2),
        test_size=100,
        epochs=(1, 4),
        low=(0.2, 0.03),
        mean=(0.3, 0.04),
        high=(0.4, 0.05),
    )
    epochs = [EpochLine(epoch=n, test_errors=e, test_size=100) for n, e in enumerate([30, 5], 1)]
    [chart] = charts(with_epochs(replace(inputs, expected=expected), *epochs))
    own, earlier = lines(chart)
    assert own.name == "semi-supervised GAN" and own.low == ()
    assert (earlier.name, earlier.low, earlier.high) == (
        "mean of 3 earlier runs", (0.2, 0.03), (0.4, 0.05),
    )  # fmt: skip
    assert "of earlier runs of this recipe, with seeds 0, 1, 2; the line" in chart.caption
    assert "mean of 3 earlier runs: 4.0\N{NO-BREAK SPACE}% at epoch 4" in chart.description
    assert "The band spans the fewest to the most errors" in chart.caption
    [plain] = charts(with_epochs(inputs, *epochs))
    assert len(lines(plain)) == 1 and "band" not in plain.caption
