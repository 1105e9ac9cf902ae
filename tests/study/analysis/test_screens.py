"""Careless participants: flagged by rules, left out, and never the reason for a finding."""

from dataclasses import replace

import numpy as np
import pytest

from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.rates import rates_of
from convergan.study.analysis.screens import Screens, flag, without_flagged
from convergan.study.analysis.votes import Votes
from convergan.study.report.verdict import cautions, verdict
from harness.simulated_votes import careless, simulated_votes, timed_votes, with_controls


@pytest.fixture(scope="module")
def votes() -> Votes:
    return simulated_votes(np.random.default_rng(0), {"a": 0.75}, participants=10, trials=60)


def reasons(votes: Votes, screens: Screens | None = None) -> dict[str, tuple[str, ...]]:
    found = flag(votes, screens or Screens())
    return {each.participant: each.reasons for each in found}


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
    found = reasons(careless(np.random.default_rng(1), votes, 0.3, kind))
    assert list(found.values()) == 3 * [expected]


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
    found = {each.participant: each.reasons for each in flag(rates_of(repeated), Screens())}
    assert found == reasons(repeated)


def test_of_a_few_trials_nothing_is_concluded() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"a": 0.75}, participants=4, trials=8)
    assert reasons(careless(np.random.default_rng(1), votes, 1, "repeats")) == {}


def test_findings_are_without_the_flagged_and_stand_beside_those_with_them(votes: Votes) -> None:
    mixed = careless(np.random.default_rng(1), votes, 0.4, "repeats")
    found = analyse(mixed)
    kept, emptied = without_flagged(mixed, found.flagged)
    assert emptied == set() and len(found.flagged) == 4 == found.arms[0].flagged
    assert found.participants == 6 and found.arms[0].accuracy.value == pytest.approx(
        rates_of(kept).accuracy.mean()
    )
    assert found.with_flagged is not None
    assert found.with_flagged.arms[0].participants == 10
    assert found.with_flagged.arms[0].accuracy == pytest.approx(rates_of(mixed).accuracy.mean())
    [said] = [each for each in cautions(found) if each.startswith("Flagged as careless: 4 ")]
    assert "same answer 4, leaning 4" in said
    content = found.as_json()
    assert content["flagged"][0]["reasons"] == ["same answer", "leaning"]
    assert content["screens"]["fastest_ms"] == 400 and content["arms"][0]["flagged"] == 4


@pytest.mark.parametrize("kind", ["hurries", "repeats"])
def test_twelve_people_who_did_not_look_are_no_finding(kind: str) -> None:
    """They made the report say "Indistinguishable"."""
    votes = simulated_votes(np.random.default_rng(2), {"a": 0.75}, participants=12, trials=60)
    found = analyse(careless(np.random.default_rng(3), votes, 1, kind))
    assert found.arms[0].conclusion == "everyone flagged" and found.arms[0].chance_p_value is None
    assert verdict(found).startswith("Nothing can be concluded: the answers of all 12 participants")
    two = careless(
        np.random.default_rng(3),
        simulated_votes(np.random.default_rng(2), {"a": 0.7, "b": 0.9}, participants=6, trials=60),
        1,
        kind,
    )
    [comparison] = analyse(two).comparisons
    assert comparison.p_holm is None and "undecided (not tested)" in verdict(analyse(two))


def guessing(controls: int, share: float, seed: int = 4) -> Findings:
    """60 people, a share of whom guess, at images that the others tell in 75 % of the trials."""
    rng = np.random.default_rng(seed)
    accuracy = 0.5 if share == 0 else 0.75
    votes = simulated_votes(rng, {"a": accuracy}, participants=60, trials=100, stdev=0.03)
    votes = with_controls(rng, votes, controls) if controls else votes
    return analyse(careless(rng, votes, share))


def test_without_controls_indistinguishable_is_said_with_a_reserve() -> None:
    found = guessing(0, 0)
    assert found.arms[0].attention is None
    assert found.arms[0].conclusion == "indistinguishable, attention not assessed"
    assert "not assessed" in verdict(found)


def test_controls_that_people_recognize_make_it_plain() -> None:
    found = guessing(8, 0)
    [arm] = found.arms
    assert arm.attention is not None and arm.attention.recognized > 0.96
    assert arm.attention.share > 0.9 and arm.conclusion == "indistinguishable"
    assert arm.votes == 6000, "controls are no votes on images"


@pytest.mark.parametrize("seed", range(4))
def test_people_who_guess_show_in_the_controls(seed: int) -> None:
    """Nine of ten guess in the usual time: nothing but the controls tells."""
    found = guessing(8, 0.9, seed)
    [arm] = found.arms
    assert found.flagged == [] and abs(arm.accuracy.value - 0.5) < 0.05
    assert arm.attention is not None and arm.attention.share < 0.25
    assert not arm.conclusion.startswith("indistinguishable")
    assert any("of the obvious fakes were called generated" in each for each in cautions(found))


def test_timed_arms_stand_with_and_without_the_flagged_too() -> None:
    rng = np.random.default_rng(5)
    votes = timed_votes(rng, {"a": 250, "b": 500}, participants=10, trials=60)
    found = analyse(careless(rng, votes, 0.4, "hurries"))
    assert len(found.flagged) == 8 and found.with_flagged is not None
    for arm, everybody in zip(found.arms, found.with_flagged.arms, strict=True):
        assert arm.threshold and everybody.threshold and arm.conclusion == "not applicable"
        assert (arm.threshold.participants, everybody.threshold.participants) == (6, 10)
        # Who guesses needs ever longer.
        assert arm.threshold.exposure_ms.value < everybody.threshold.exposure_ms.value
    [said] = [each for each in cautions(found) if each.startswith("Flagged as careless: 8 ")]
    assert f"“a” {found.with_flagged.arms[0].threshold.exposure_ms.value:.0f}" in said  # type: ignore[union-attr]
    assert "not applicable" not in said
    [without], [everybodys] = found.threshold_comparisons, found.with_flagged.threshold_comparisons
    changed = replace(found.with_flagged, threshold_comparisons=[replace(everybodys, p_holm=0.5)])
    assert without.p_holm is not None and without.p_holm < 0.05
    assert (
        "Leaving out the flagged participants changes 1 of 1 comparison of exposures."
        in cautions(replace(found, with_flagged=changed))
    )


def test_nothing_is_concluded_from_a_timed_arm_of_careless_people_alone() -> None:
    rng = np.random.default_rng(6)
    votes = timed_votes(rng, {"a": 300}, participants=6, trials=60)
    found = analyse(careless(rng, votes, 1, "hurries"))
    assert found.arms[0].conclusion == "everyone flagged"
    assert (
        verdict(found) == "Nothing can be concluded: the answers of all participants look careless."
    )
