"""Careless participants are flagged by rules, left out, and never the reason for a finding."""

from dataclasses import replace

import numpy as np
import pytest

from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.rates import rates_of
from convergan.study.analysis.screens import Screens, flag, without_flagged
from convergan.study.analysis.votes import Votes
from convergan.study.report.cautions import cautions
from convergan.study.report.verdict import verdict
from harness.simulated_votes import careless, simulated_votes, timed_votes, with_controls


@pytest.fixture(scope="module")
def votes() -> Votes:
    return simulated_votes(np.random.default_rng(0), {"a": 0.75}, participants=10, trials=60)


def reasons(votes: Votes, screens: Screens | None = None) -> dict[str, tuple[str, ...]]:
    flagged = flag(votes, screens or Screens())
    return {person.participant: person.reasons for person in flagged}


def test_honest_people_are_not_flagged(votes: Votes) -> None:
    assert reasons(votes) == {}
    assert analyse(votes).with_flagged is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("hurries", ("response time",)), ("repeats", ("same answer", "leaning"))],
)
def test_each_kind_of_carelessness_has_its_sign(
    votes: Votes, kind: str, expected: tuple[str, ...]
) -> None:
    flagged = reasons(careless(np.random.default_rng(1), votes, 0.3, kind))
    assert list(flagged.values()) == 3 * [expected]


def test_the_rules_are_the_plans(votes: Votes) -> None:
    hurried = careless(np.random.default_rng(1), votes, 0.3, "hurries")
    assert reasons(hurried, Screens(fastest_ms=300)) == {}
    assert len(reasons(hurried, Screens(fastest_ms=301))) == 3
    assert len(reasons(votes, Screens(most_leaning=0.01))) > 5
    assert len(reasons(votes, Screens(longest_run=5))) > 3


def test_rules_that_are_off_are_not_described() -> None:
    assert Screens().rules[0] == "the median response time is below 0.4 s"
    assert Screens(fastest_ms=0, longest_run=7).rules == [
        "the same answer is given 7 times in a row",
        "the criterion is 1 or more from 0, in either direction",
    ]


def test_a_run_is_of_trials_in_their_order(votes: Votes) -> None:
    person = votes.participant == votes.participant[0]
    answers = votes.answered_generated.copy()
    answers[person] = np.arange(60) % 2 == 0
    alternating = replace(votes, answered_generated=answers)
    assert reasons(alternating) == {}
    sorted_by_answer = votes.trial.copy()
    sorted_by_answer[person] = np.argsort(np.argsort(answers[person], kind="stable")) + 1
    assert list(reasons(replace(alternating, trial=sorted_by_answer)).values()) == [
        ("same answer",)
    ]


def test_rates_alone_tell_of_leaning_and_of_one_answer(votes: Votes) -> None:
    repeated = careless(np.random.default_rng(1), votes, 0.3, "repeats")
    flagged = {person.participant: person.reasons for person in flag(rates_of(repeated), Screens())}
    assert flagged == reasons(repeated)


def test_of_a_few_trials_nothing_is_concluded() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"a": 0.75}, participants=4, trials=8)
    assert reasons(careless(np.random.default_rng(1), votes, 1, "repeats")) == {}


def test_findings_are_without_the_flagged_and_stand_beside_those_with_them(votes: Votes) -> None:
    mixed = careless(np.random.default_rng(1), votes, 0.4, "repeats")
    findings = analyse(mixed)
    attentive, emptied = without_flagged(mixed, findings.flagged)
    assert emptied == set() and len(findings.flagged) == 4 == findings.arms[0].flagged
    assert findings.participants == 6 and findings.arms[0].accuracy.value == pytest.approx(
        rates_of(attentive).accuracy.mean()
    )
    assert findings.with_flagged is not None
    assert findings.with_flagged.arms[0].participants == 10
    assert findings.with_flagged.arms[0].accuracy == pytest.approx(rates_of(mixed).accuracy.mean())
    [caution] = [text for text in cautions(findings) if text.startswith("Flagged as careless: 4 ")]
    assert "same answer 4, leaning 4" in caution
    content = findings.as_json()
    assert content["flagged"][0]["reasons"] == ["same answer", "leaning"]
    assert content["screens"]["fastest_ms"] == 400 and content["arms"][0]["flagged"] == 4


@pytest.mark.parametrize("kind", ["hurries", "repeats"])
def test_twelve_people_who_did_not_look_are_no_finding(kind: str) -> None:
    """A report on such people once said "Indistinguishable"."""
    votes = simulated_votes(np.random.default_rng(2), {"a": 0.75}, participants=12, trials=60)
    findings = analyse(careless(np.random.default_rng(3), votes, 1, kind))
    assert (
        findings.arms[0].conclusion == "everyone flagged"
        and findings.arms[0].chance_p_value is None
    )
    assert verdict(findings).startswith(
        "Nothing can be concluded: the answers of all 12 participants"
    )
    two = careless(
        np.random.default_rng(3),
        simulated_votes(np.random.default_rng(2), {"a": 0.7, "b": 0.9}, participants=6, trials=60),
        1,
        kind,
    )
    [comparison] = analyse(two).comparisons
    assert comparison.p_holm is None and "undecided (not tested)" in verdict(analyse(two))


def guessing(controls: int, share: float, seed: int = 4) -> Findings:
    """Findings about 60 people, a share of whom guess; the others are right in 75 % of the trials."""
    rng = np.random.default_rng(seed)
    accuracy = 0.5 if share == 0 else 0.75
    votes = simulated_votes(rng, {"a": accuracy}, participants=60, trials=100, stdev=0.03)
    votes = with_controls(rng, votes, controls) if controls else votes
    return analyse(careless(rng, votes, share))


def test_without_controls_indistinguishable_is_said_with_a_reserve() -> None:
    findings = guessing(0, 0)
    assert findings.arms[0].attention is None
    assert findings.arms[0].conclusion == "indistinguishable, attention not assessed"
    assert "not assessed" in verdict(findings)


def test_controls_that_people_recognize_make_it_plain() -> None:
    findings = guessing(8, 0)
    [arm] = findings.arms
    assert arm.attention is not None and arm.attention.recognized > 0.96
    assert arm.attention.share > 0.9 and arm.conclusion == "indistinguishable"
    assert arm.votes == 6000, "controls are no votes on images"


@pytest.mark.parametrize("seed", range(4))
def test_people_who_guess_show_in_the_controls(seed: int) -> None:
    """Nine of ten people guess, in the usual time, which only the controls show."""
    findings = guessing(8, 0.9, seed)
    [arm] = findings.arms
    assert findings.flagged == [] and abs(arm.accuracy.value - 0.5) < 0.05
    assert arm.attention is not None and arm.attention.share < 0.25
    assert not arm.conclusion.startswith("indistinguishable")
    assert any(
        "of the obvious fakes were called generated" in caution for caution in cautions(findings)
    )


def test_timed_arms_stand_with_and_without_the_flagged_too() -> None:
    rng = np.random.default_rng(5)
    votes = timed_votes(rng, {"a": 250, "b": 500}, participants=10, trials=60)
    findings = analyse(careless(rng, votes, 0.4, "hurries"))
    assert len(findings.flagged) == 8 and findings.with_flagged is not None
    for arm, unscreened in zip(findings.arms, findings.with_flagged.arms, strict=True):
        assert arm.threshold and unscreened.threshold and arm.conclusion == "not applicable"
        assert (arm.threshold.participants, unscreened.threshold.participants) == (6, 10)
        # People who guess seem to need ever longer.
        assert arm.threshold.exposure_ms.value < unscreened.threshold.exposure_ms.value
    [caution] = [text for text in cautions(findings) if text.startswith("Flagged as careless: 8 ")]
    assert f"“a” {findings.with_flagged.arms[0].threshold.exposure_ms.value:.0f}" in caution  # type: ignore[union-attr]
    assert "not applicable" not in caution
    [comparison], [unscreened_comparison] = (
        findings.threshold_comparisons,
        findings.with_flagged.threshold_comparisons,
    )
    changed = replace(
        findings.with_flagged, threshold_comparisons=[replace(unscreened_comparison, p_holm=0.5)]
    )
    assert comparison.p_holm is not None and comparison.p_holm < 0.05
    assert (
        "Leaving out the flagged participants changes 1 of 1 comparison of exposures."
        in cautions(replace(findings, with_flagged=changed))
    )


def test_nothing_is_concluded_from_a_timed_arm_of_careless_people_alone() -> None:
    rng = np.random.default_rng(6)
    votes = timed_votes(rng, {"a": 300}, participants=6, trials=60)
    findings = analyse(careless(rng, votes, 1, "hurries"))
    assert findings.arms[0].conclusion == "everyone flagged"
    assert (
        verdict(findings)
        == "Nothing can be concluded: the answers of all participants look careless."
    )
