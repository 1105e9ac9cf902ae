from dataclasses import replace

import numpy as np
import pytest

from convergan.study.arms import describe_arm
from convergan.study.estimates import Estimates
from convergan.study.findings import Arm, Comparison, Estimate
from convergan.study.rates import Rates
from convergan.study.report import StudyReport
from convergan.study.report.verdict import cautions, told_apart, verdict
from convergan.study.statistics.equivalence import Equivalence
from simulated_votes import simulated_rates

S = "\N{NO-BREAK SPACE}"


def arm(
    report: StudyReport, low: float, high: float, p_value: float = 1.0, of_chance: float = 0.01
) -> Arm:
    middle = (low + high) / 2
    return replace(
        report.findings.arms[0],
        accuracy=Estimate(value=middle, participants=(low, high)),
        chance_p_value=of_chance,
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


def test_an_interval_without_chance_is_not_enough(report: StudyReport) -> None:
    """Of few participants it is too narrow; the t-test over them knows that they are few."""
    one = arm(report, 0.55, 0.65, of_chance=0.12)
    assert told_apart(one) == "undecided"
    said = verdict(replace(report.findings, arms=[one], comparisons=[]))
    assert said.startswith("Undecided: people were right in 60.0")
    assert said.endswith("but by a t-test over participants that may be chance (p = 0.12).")


def verdicts(mean: float, participants: int, runs: int) -> list[str]:
    """What the report says of studies with 100 trials each."""
    rng = np.random.default_rng(participants)
    names = np.arange(participants).astype(str)
    arms, trials = np.full(participants, "arm"), np.full(participants, 50.0)
    wrong = 1 - simulated_rates(rng, mean, participants=participants, runs=runs)
    found = []
    for each in wrong.T:
        rates = Rates(names, arms, arms, trials, trials, each, each)
        estimates = Estimates(rates, None, rng, replicates=400)
        found.append(told_apart(describe_arm("arm", estimates, None, 0.05, 10, rng)))
    return found


@pytest.mark.parametrize("participants", [2, 3, 4, 5])
def test_a_few_people_who_guess_are_seldom_said_to_tell(participants: int) -> None:
    found = verdicts(0.5, participants, 200)
    told = [each for each in found if each not in ("undecided", "indistinguishable")]
    assert len(told) / len(found) <= 0.09


def test_what_forty_people_can_tell_is_found() -> None:
    found = verdicts(0.56, 40, 100)
    assert found.count("better than chance") >= 95


def test_few_participants_are_warned_of(report: StudyReport, few: StudyReport) -> None:
    assert cautions(report.findings) == []
    [caution] = cautions(few.findings)
    assert caution.startswith("Fewer than 10 participants in “random” (3): intervals of so few")
    arms = 5 * [few.findings.arms[0]] + [few.findings.arms[1]]
    assert "in 5 of 6 arms:" in cautions(replace(few.findings, arms=arms))[0]
