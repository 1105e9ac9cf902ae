import pytest

from convergan.study.report.figures import Mark, Row, interval_chart, row_name


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("random", ["random"]),
        ("a name of twenty-six chars", ["a name of twenty-six chars"]),
        ("SIMULATED-samples, no feedback", ["SIMULATED-samples, no", "feedback"]),
        ("x" * 30, ["x" * 26, "x" * 4]),
    ],
)
def test_a_name_of_two_lines_stands_there_whole(name: str, lines: list[str]) -> None:
    assert row_name(name).split("\n") == lines


def test_a_longer_name_keeps_its_start_and_its_end() -> None:
    start, end = "SIMULATED-samples of the final generator", ", the best of a hundred, no feedback"
    first, second = row_name(start + end).split("\n")
    assert start.startswith(first.removesuffix("…")) and first.endswith("…")
    assert end.endswith(second) and "no feedback" in second
    assert max(len(first), len(second)) <= 26


def test_names_that_differ_at_their_end_differ_in_the_chart() -> None:
    names = ["SIMULATED-samples, feedback", "SIMULATED-samples, no feedback"]
    rows = [Row(name, [Mark(0.7, (0.6, 0.8), None, 0)]) for name in names]
    svg = interval_chart(rows, name="x", x_label="right answers")
    assert ">SIMULATED-samples, no</" in svg and ">SIMULATED-samples,</" in svg
    assert svg.count(">feedback</") == 2
