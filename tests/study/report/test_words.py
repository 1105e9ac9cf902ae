from dataclasses import replace

import pytest

from convergan.study.findings import Arm, Comparison, Estimate
from convergan.study.report import StudyReport
from convergan.study.report.words import (
    index,
    p_words,
    points,
    points_interval,
    told_apart,
    verdict,
)
from convergan.study.statistics.equivalence import Equivalence

S = "\N{NO-BREAK SPACE}"


def arm(report: StudyReport, low: float, high: float, p_value: float = 1.0) -> Arm:
    middle = (low + high) / 2
    return replace(
        report.findings.arms[0],
        accuracy=Estimate(value=middle, participants=(low, high)),
        equivalence=Equivalence(0.05, p_value, (low, high)),
    )


@pytest.mark.parametrize(
    ("low", "high", "p_value", "state", "sentence"),
    [
        (0.7, 0.8, 1.0, "better than chance", "People told generated images from real ones: right in"),
        (0.51, 0.53, 0.01, "better than chance, by less than the margin", "People told generated"),
        (0.3, 0.4, 1.0, "worse than chance", "People took generated for real and real for generated"),
        (0.48, 0.52, 0.01, "indistinguishable", "Indistinguishable, to within 5 points of chance:"),
        (0.4, 0.6, 0.3, "undecided", "Undecided: people were right in"),
    ],
)  # fmt: skip
def test_what_an_accuracy_says(
    report: StudyReport, low: float, high: float, p_value: float, state: str, sentence: str
) -> None:
    one = arm(report, low, high, p_value)
    assert told_apart(one) == state
    said = verdict(replace(report.findings, arms=[one], comparisons=[]))
    assert said.startswith(sentence)
    assert f"interval {100 * low:.1f} to {100 * high:.1f}{S}%" in said


def test_two_arms_that_may_not_differ(report: StudyReport) -> None:
    [comparison] = report.findings.comparisons
    same = replace(comparison, p_holm=0.21)
    said = verdict(replace(report.findings, comparisons=[same]))
    assert said.endswith("undecided, so small a difference may be chance (p = 0.21).")
    untested: Comparison = replace(comparison, p_value=None, p_holm=None)
    assert "(not tested)" in verdict(replace(report.findings, comparisons=[untested]))


def test_many_arms_are_counted(many_arms: StudyReport) -> None:
    found = sum((each.p_holm or 1) < 0.05 for each in many_arms.findings.comparisons)
    assert found > 1
    assert f"{found} of 21 comparisons of arms show a difference" in verdict(many_arms.findings)


def test_numbers() -> None:
    assert (index(-0.004), index(-0.126), index(1.5)) == ("0.00", "−0.13", "1.50")
    assert (points(0.0731), points(-0.05)) == ("+7.3", "−5.0")
    assert points_interval((-0.01, 0.02)) == "−1.0 to +2.0" and points_interval(None) == "–"
    assert (p_words(0.00004), p_words(0.04)) == ("p below 0.001", "p = 0.04")
