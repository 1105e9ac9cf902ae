from dataclasses import replace

import numpy as np
import pytest

from convergan.statistics.equivalence import Equivalence
from convergan.statistics.intervals import Interval
from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.arms import describe_arm
from convergan.study.analysis.attention import Attention
from convergan.study.analysis.estimates import Estimates, MeanEstimate
from convergan.study.analysis.findings import AccuracyComparison, Arm, Findings
from convergan.study.analysis.rates import Rates
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.votes import Votes
from convergan.study.report import StudyReport
from convergan.study.report.cautions import cautions
from convergan.study.report.verdict import verdict
from harness.simulated_votes import simulated_rates, timed_votes

S = "\N{NO-BREAK SPACE}"


def arm(report: StudyReport, low: float, high: float, conclusion: str = "undecided") -> Arm:
    return replace(
        report.findings.arms[0],
        accuracy=MeanEstimate(value=(low + high) / 2, participants=None),
        interval=Interval(low, high),
        conclusion=conclusion,
    )


@pytest.mark.parametrize(
    ("low", "high", "state", "sentence"),
    [
        (0.7, 0.8, "better than chance", "People told generated images from real ones: right in"),
        (0.51, 0.53, "better than chance, by less than the margin", "People told generated"),
        (0.3, 0.4, "worse than chance", "People took generated images for real, and real ones for generated"),
        (0.48, 0.52, "indistinguishable, attention not assessed",
         "Indistinguishable, within 5 points of chance, if people looked (attention not assessed):"),
        (0.4, 0.6, "undecided", "Undecided: people were right in"),
        (0.4, 0.6, "everyone flagged", "Nothing can be concluded: the answers of all 40 participants"),
    ],
)  # fmt: skip
def test_what_an_accuracy_says(
    report: StudyReport, low: float, high: float, state: str, sentence: str
) -> None:
    single_arm = arm(report, low, high, state)
    text = verdict(replace(report.findings, arms=[single_arm], comparisons=[]))
    assert text.startswith(sentence)
    assert f"(95{S}% interval {100 * low:.1f} to {100 * high:.1f}{S}%)" in text


def test_controls_that_were_recognized_make_it_plain(report: StudyReport) -> None:
    looked = Attention(votes=300, recognized=0.98, interval=Interval(0.96, 1), share=0.5)
    single_arm = replace(
        arm(report, 0.48, 0.52, "indistinguishable"),
        attention=looked,
        equivalence=Equivalence(0.025, 0.01, Interval(0.485, 0.515)),
    )
    findings = replace(report.findings, arms=[single_arm], comparisons=[])
    assert verdict(findings).startswith("Indistinguishable, within 5 points of chance: people")
    [caution] = cautions(findings)
    assert caution == (
        f"“random”: 98.0{S}% of the obvious fakes were called generated, which shows only that at least "
        f"50.0{S}% of the votes came from people who looked."
    )
    inattentive = replace(single_arm, attention=replace(looked, share=0.0))
    [caution] = cautions(replace(findings, arms=[inattentive]))
    assert caution.endswith("called generated, which does not show that anybody looked.")


def test_two_arms_that_may_not_differ(report: StudyReport) -> None:
    [comparison] = report.findings.comparisons
    undecided = replace(comparison, p_holm=0.21)
    text = verdict(replace(report.findings, comparisons=[undecided]))
    assert text.endswith(
        f"undecided, as a difference this small may be due to chance (p{S}={S}0.21)."
    )
    untested: AccuracyComparison = replace(comparison, p_value=None, p_holm=None)
    assert verdict(replace(report.findings, comparisons=[untested])).endswith(
        "undecided (not tested)."
    )


def test_many_arms_are_counted(many_arms: StudyReport) -> None:
    differing = sum(
        (comparison.p_holm or 1) < 0.05 for comparison in many_arms.findings.comparisons
    )
    assert differing > 1
    assert f"{differing} of 21 comparisons of arms show a difference" in verdict(many_arms.findings)


def verdicts(mean: float, participants: int, runs: int) -> list[str]:
    """Conclusions of the report about studies with 100 trials each."""
    rng = np.random.default_rng(participants)
    names = np.arange(participants).astype(str)
    arms, trials = np.full(participants, "arm"), np.full(participants, 50.0)
    wrong = 1 - simulated_rates(rng, mean, participants=participants, runs=runs)
    conclusions = []
    for errors in wrong.T:
        rates = Rates(names, arms, arms, trials, trials, errors, errors)
        estimates, thresholds = Estimates(rates, None, rng, 1), Thresholds(None)
        arm = describe_arm("arm", estimates, thresholds, None, 0.05, 10, rng)
        conclusions.append(arm.conclusion)
    return conclusions


@pytest.mark.parametrize("participants", [2, 3, 4, 5])
def test_a_few_people_who_guess_are_seldom_said_to_tell(participants: int) -> None:
    conclusions = verdicts(0.5, participants, 200)
    decided = [conclusion for conclusion in conclusions if "chance" in conclusion]
    assert len(decided) / len(conclusions) <= 0.09


def test_what_forty_people_can_tell_is_found() -> None:
    conclusions = verdicts(0.56, 40, 100)
    assert conclusions.count("better than chance") >= 95


def test_few_participants_are_warned_of(report: StudyReport, few_participants: StudyReport) -> None:
    [attention] = cautions(report.findings)
    assert attention.startswith("Attention was not assessed: there were no obvious fakes")
    [_, caution] = cautions(few_participants.findings)
    assert caution.startswith("Fewer than 10 participants in “random” (3): with so few, intervals")
    arms = 5 * [few_participants.findings.arms[0]] + [few_participants.findings.arms[1]]
    assert "in 5 of 6 arms:" in cautions(replace(few_participants.findings, arms=arms))[1]


def test_what_thresholds_say(timed: StudyReport) -> None:
    findings = timed.findings
    first, second = findings.arms
    assert first.conclusion == "not applicable"
    text = verdict(findings, simulated=True)
    assert text.startswith("Bots needed ") and text.endswith(": the arms differ (p below 0.001).")
    assert first.threshold and second.threshold
    exposures = [f"{arm.threshold.exposure_ms.value:.0f}{S}ms" for arm in (second, first)]  # type: ignore[union-attr]
    assert f"{exposures[0]} in arm “{second.name}” and {exposures[1]} in" in text
    one_known = replace(findings, arms=[first, replace(second, threshold=None)])
    assert f"ms) in arm “{first.name}” to be" in verdict(one_known)
    one_arm = replace(findings, arms=[first], threshold_comparisons=[])
    assert f"{S}ms) to be right 75{S}% of the time." in verdict(one_arm)
    # Other images are in the interval of every sentence.
    exposure = replace(first.threshold.exposure_ms, participants_and_images=Interval(100, 900))
    images = replace(first, threshold=replace(first.threshold, exposure_ms=exposure))
    assert f"(95{S}% interval 100 to 900{S}ms)" in verdict(replace(one_arm, arms=[images]))
    two_of_three = [replace(findings.threshold_comparisons[0], p_holm=p) for p in (0.01, 0.02, 0.3)]
    three = replace(findings, arms=[first, second, first], threshold_comparisons=two_of_three)
    assert verdict(three).endswith("; 2 of 3 comparisons of arms show a difference.")
    unknown = replace(findings, arms=[replace(arm, threshold=None) for arm in findings.arms])
    assert verdict(unknown).startswith(
        "Undecided: finding out how long people need to see an image"
    )


LEFT_OUT = "left out because the image was shown more than a frame longer or shorter than requested"
HUNG_MS = 5000.0


def hung(votes: Votes, share: float, arm: str = "", seed: int = 0) -> Findings:
    """Findings from these votes with a share of all exposures, or of those of an arm, far too long."""
    rows = np.random.default_rng(seed).random(len(votes)) < share
    rows &= (votes.arm == arm) | (not arm)
    return analyse(replace(votes, shown_ms=np.where(rows, HUNG_MS, votes.shown_ms)))


def test_exposures_that_were_all_wrong_are_what_the_report_is_about() -> None:
    votes = timed_votes(np.random.default_rng(20), {"a": 320}, participants=3)
    findings = hung(votes, 1)
    assert verdict(findings) == f"Nothing can be concluded: all 300 answers are {LEFT_OUT}."
    _, small, wrong, missing = cautions(findings)
    assert small.startswith("Fewer than 10 participants in “a” (3): ")
    assert wrong == f"“a”: all 300 answers are {LEFT_OUT}."
    assert missing.startswith("“a”: 3 of 3 participants have no threshold, as 40 or fewer of their")
    content = findings.as_json()["arms"][0]
    assert content["threshold"] is None and content["timed_answers"]["wrong_exposures"] == 300


def test_an_arm_without_a_usable_answer_stays_in_the_conclusion() -> None:
    votes = timed_votes(np.random.default_rng(21), {"a": 320, "b": 320}, participants=20)
    findings = hung(votes, 1, "a")
    text = verdict(findings)
    assert text.startswith("People needed ") and "in arm “b” to be right" in text
    assert text.endswith(f" Arm “a” has no threshold: all 2,000 answers are {LEFT_OUT}.")
    assert f"“a”: all 2,000 answers are {LEFT_OUT}." in cautions(findings)
    # Some answers are usable, but of nobody enough.
    text = verdict(hung(votes, 0.8, "a"))
    assert "has no threshold: no participant has more than 40 usable answers; 1," in text
    assert "of 2,000 answers are left out" in text


@pytest.mark.parametrize("seed", range(3))
def test_whom_a_threshold_rests_on_is_said(seed: int) -> None:
    """One or a few of 12 people have more than 40 usable answers where 65 % of the exposures were wrong."""
    votes = timed_votes(np.random.default_rng(22), {"a": 320}, participants=12)
    findings = hung(votes, 0.65, seed=seed)
    [arm] = findings.arms
    assert arm.threshold and arm.timed_answers
    number = arm.threshold.participants
    assert 1 <= number <= 5 and number + len(arm.timed_answers.too_few) == 12
    text = verdict(findings)
    assert text.startswith("One participant needed" if number == 1 else "People needed")
    have = "has" if number == 1 else "have"
    assert text.endswith(f" Only {number} of 12 participants {have} more than 40 usable answers.")
    _, small, wrong, missing = cautions(findings)
    assert small.startswith(f"Fewer than 10 participants with a threshold in “a” ({number}): ")
    assert wrong == f"“a”: {arm.timed_answers.wrong_exposures} of 1,200 answers are {LEFT_OUT}."
    assert f"“a”: {12 - number} of 12 participants have no threshold" in missing
    assert missing.endswith(f"({', '.join(arm.timed_answers.too_few[:4])}, ...).")
    assert "One bot" in verdict(findings, simulated=True) or number > 1


def test_too_few_usable_answers_are_not_said_to_be_too_few_trials() -> None:
    votes = timed_votes(np.random.default_rng(23), {"a": 320}, participants=12)
    text = verdict(hung(votes, 0.9))
    assert text.startswith(
        "Undecided: finding out how long people need to see an image takes more "
    )
    assert "than 40 usable answers of each, and no participant gave so many; 1,0" in text
    short = timed_votes(np.random.default_rng(23), {"a": 320}, participants=12, trials=30)
    assert verdict(analyse(short)).endswith("takes more than 40 trials per participant.")


def test_an_arm_of_careless_answers_is_not_said_to_be_all_arms() -> None:
    rng = np.random.default_rng(24)
    votes = timed_votes(rng, {"a": 320, "b": 320}, participants=12)
    hasty = np.where(votes.arm == "a", 0.1, votes.response_seconds)
    careless = replace(votes, response_seconds=hasty)
    remark = (
        "Nothing can be concluded about arm “a”: the answers of all its participants look careless."
    )
    text = verdict(analyse(careless))
    assert text.startswith("People needed ") and "in arm “b” to be" in text
    assert text.endswith(remark)
    text = verdict(hung(careless, 1, "b"))
    assert text == f"Nothing can be concluded: all 1,200 answers are {LEFT_OUT}. {remark}"
    careless_findings = analyse(replace(votes, response_seconds=np.full(len(votes), 0.1)))
    assert verdict(careless_findings) == (
        "Nothing can be concluded: the answers of all participants look careless."
    )


def test_many_arms_without_a_threshold_are_counted() -> None:
    arms = dict.fromkeys("abcdefg", 320.0)
    votes = timed_votes(np.random.default_rng(25), arms, participants=2, trials=50)
    findings = analyse(replace(votes, shown_ms=np.where(votes.arm < "f", HUNG_MS, votes.shown_ms)))
    text = verdict(findings)
    assert "in arm “f” and " in text or "in arm “g” and " in text
    assert " In 5 of 7 timed arms there is no threshold, or few people have one" in text


def test_timed_and_untimed_arms_have_a_sentence_each(
    report: StudyReport, timed: StudyReport
) -> None:
    arms = [*report.findings.arms, timed.findings.arms[0]]
    text = verdict(replace(report.findings, arms=arms))
    assert text.startswith(
        f"Arms without a staircase: {verdict(report.findings)} Timed arms: People needed "
    )


def test_staircases_at_their_ends_are_warned_of(timed: StudyReport) -> None:
    first, second = timed.findings.arms
    assert first.threshold and second.threshold
    ends = [
        replace(first, threshold=replace(first.threshold, beyond_shortest=3)),
        replace(second, threshold=replace(second.threshold, beyond_longest=21)),
    ]
    findings = replace(timed.findings, arms=ends)
    sentences = cautions(findings)
    assert (
        f"3 of 40 participants are shorter than the shortest exposure, 100{S}ms; the"
        in sentences[1]
    )
    assert (
        f"21 of 40 participants are longer than the longest exposure, 1,000{S}ms; the"
        in sentences[2]
    )
    assert f"{S}ms or more in arm" in verdict(findings) and "or less" not in verdict(findings)
