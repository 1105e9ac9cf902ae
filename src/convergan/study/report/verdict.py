"""The conclusion of a study's report, in a sentence or a few."""

from collections.abc import Sequence

from convergan.page.words import SPACE, percent
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.exposures import AnswerCounts
from convergan.study.analysis.findings import (
    AccuracyComparison,
    Arm,
    Findings,
)
from convergan.study.analysis.thresholds import Threshold, ThresholdComparison
from convergan.study.design.staircase import FEWEST_TRIALS, TARGET
from convergan.study.report.formats import (
    interval,
    milliseconds_interval,
    p_words,
    threshold_words,
    widest,
)

FEW_PARTICIPANTS = 10
"""Number of participants below which intervals over participants are too narrow."""

MOST_NAMED = 4
"""Largest number of arms that a sentence names."""


def differs(comparison: AccuracyComparison | ThresholdComparison) -> bool:
    """Return whether a comparison shows a difference: a corrected p-value below .05."""
    return comparison.p_holm is not None and comparison.p_holm < SIGNIFICANCE


def verdict(findings: Findings, *, simulated: bool = False) -> str:
    """Write the conclusion in one sentence, or in two where only some arms are timed."""
    people = "Bots" if simulated else "People"
    untimed = [arm for arm in findings.arms if not arm.timed]
    if len(untimed) == len(findings.arms):
        return _accuracy_verdict(untimed, findings.comparisons, people)
    timed_verdict = _threshold_verdict(findings, people)
    if not untimed:
        return timed_verdict
    untimed_verdict = _accuracy_verdict(untimed, findings.comparisons, people)
    return f"Arms without a staircase: {untimed_verdict} Timed arms: {timed_verdict}"


def left_out(counts: Sequence[AnswerCounts]) -> list[str]:
    """Write how many answers of timed arms are left out by themselves, and why; without full stops."""
    answers = sum(count.answers for count in counts)
    reasons = {
        "the image was shown more than a frame longer or shorter than requested": sum(
            count.wrong_exposures for count in counts
        ),
        "no exposure was requested": sum(count.unrequested for count in counts),
    }
    return [
        f"{count_of(number, answers)} left out because {reason}"
        for reason, number in reasons.items()
        if number
    ]


def count_of(number: int, total: int) -> str:
    """Write "3 of 100 answers are", "1 of 100 answers is" or "all 100 answers are"."""
    if number == total > 1:
        return f"all {total:,} answers are"
    return f"{number:,} of {total:,} answer{'s' * (total != 1)} {'is' if number == 1 else 'are'}"


def measured(findings: Findings) -> list[tuple[Arm, Threshold]]:
    """Return the timed arms with a threshold, and their thresholds."""
    return [(arm, arm.threshold) for arm in findings.arms if arm.threshold is not None]


def _accuracy_verdict(arms: list[Arm], comparisons: list[AccuracyComparison], people: str) -> str:
    if len(arms) == 1:
        return _arm_verdict(arms[0], people)
    ranked = sorted(arms, key=lambda arm: arm.accuracy.value)
    hardest, easiest = ranked[0], ranked[-1]
    low, high = percent(hardest.accuracy.value), percent(easiest.accuracy.value)
    if len(arms) == 2:
        return (
            f"{people} were right in {high} of the trials in arm “{easiest.name}” and in {low} in arm "
            f"“{hardest.name}”: {_compared(comparisons)}."
        )
    return (
        f"{people} were right in {low} (“{hardest.name}”) to {high} (“{easiest.name}”) of the trials; "
        f"{_compared(comparisons)}."
    )


def _threshold_verdict(findings: Findings, people: str) -> str:
    timed = [arm for arm in findings.arms if arm.timed]
    emptied = {arm.name for arm in timed if arm.conclusion == "everyone flagged"}
    thresholds = [pair for pair in measured(findings) if pair[0].name not in emptied]
    ranked = sorted(thresholds, key=lambda pair: pair[1].exposure_ms.value)
    if len(emptied) == len(timed):
        return "Nothing can be concluded: the answers of all participants look careless."
    remarks = "".join(f" {remark}" for remark in _remarks(timed, emptied, bool(ranked)))
    if not ranked:
        return _no_threshold([arm for arm in timed if arm.name not in emptied], people) + remarks
    right = f"to be right {100 * TARGET:.0f}{SPACE}% of the time"
    (easiest, shortest), (hardest, longest) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        bounds = widest(longest.exposure_ms)
        uncertainty = f" (95{SPACE}% interval {milliseconds_interval(bounds)})" if bounds else ""
        place = f" in arm “{hardest.name}”" if len(timed) > 1 else ""
        if longest.participants == 1:
            people = "One bot" if people == "Bots" else "One participant"
        return f"{people} needed {threshold_words(longest)}{uncertainty}{place} {right}.{remarks}"
    tested = [
        pair for pair in findings.threshold_comparisons if not {pair.first, pair.second} & emptied
    ]
    compared = _compared(tested)
    if len(ranked) == 2:
        return (
            f"{people} needed {threshold_words(longest)} in arm “{hardest.name}” and "
            f"{threshold_words(shortest)} in arm “{easiest.name}” {right}: {compared}.{remarks}"
        )
    return (
        f"{people} needed {threshold_words(shortest)} (“{easiest.name}”) to "
        f"{threshold_words(longest)} (“{hardest.name}”) {right}; {compared}.{remarks}"
    )


def _no_threshold(timed: list[Arm], people: str) -> str:
    """Write why none of these arms has a threshold."""
    counts = [arm.timed_answers for arm in timed if arm.timed_answers is not None]
    reasons = "; ".join(left_out(counts))
    if not any(_has_usable_answers(count) for count in counts):
        return f"Nothing can be concluded: {reasons}."
    undecided = (
        f"Undecided: finding out how long {people.lower()} need to see an image takes more than"
    )
    if reasons:
        return (
            f"{undecided} {FEWEST_TRIALS} usable answers of each, and no participant gave so many; "
            f"{reasons}."
        )
    return f"{undecided} {FEWEST_TRIALS} trials per participant."


def _has_usable_answers(count: AnswerCounts) -> bool:
    return count.wrong_exposures + count.unrequested < count.answers


def _remarks(timed: list[Arm], emptied: set[str], some_measured: bool) -> list[str]:
    """Write sentences on the timed arms of which the conclusion says nothing, or too much by itself."""
    remarks = []
    for arm in timed:
        if arm.name in emptied:
            remarks.append(
                f"Nothing can be concluded about arm “{arm.name}”: the answers of all its participants look "
                "careless."
            )
        elif some_measured and (remark := _remark(arm, alone=len(timed) == 1)):
            remarks.append(remark)
    if len(remarks) <= MOST_NAMED:
        return remarks
    return [
        f"In {len(remarks)} of {len(timed)} timed arms there is no threshold, or few people have one, or "
        "their answers look careless."
    ]


def _remark(arm: Arm, *, alone: bool) -> str | None:
    """Write that an arm has no threshold, or that few of its participants have one; otherwise None."""
    if arm.threshold is None:
        counts = [arm.timed_answers] if arm.timed_answers else []
        reasons = left_out(counts)
        if any(map(_has_usable_answers, counts)):
            usable = "usable answers" if reasons else "trials"
            reasons.insert(0, f"no participant has more than {FEWEST_TRIALS} {usable}")
        return f"Arm “{arm.name}” has no threshold: {'; '.join(reasons)}."
    number = arm.threshold.participants
    if number == arm.participants or (
        number >= FEW_PARTICIPANTS and 2 * number >= arm.participants
    ):
        return None
    place = "" if alone else f" in arm “{arm.name}”"
    return (
        f"Only {number} of {arm.participants} participants{place} {'has' if number == 1 else 'have'} more "
        f"than {FEWEST_TRIALS} usable answers."
    )


def _compared(comparisons: Sequence[AccuracyComparison | ThresholdComparison]) -> str:
    """Write whether two arms differ, or how many comparisons of more arms show a difference."""
    differing = sum(map(differs, comparisons))
    if len(comparisons) == 1:
        chances = p_words(comparisons[0].p_holm)
        if differing:
            return f"the arms differ ({chances})"
        if comparisons[0].p_holm is None:
            return f"undecided ({chances})"
        return f"undecided, as a difference this small may be due to chance ({chances})"
    tested = sum(pair.p_holm is not None for pair in comparisons)
    if not tested:
        return f"none of {len(comparisons)} comparisons of arms could be tested"
    total = f"{tested} tested" if tested < len(comparisons) else str(tested)
    return (
        f"{differing or 'none'} of {total} comparisons of arms "
        f"{'show' if differing > 1 else 'shows'} a difference"
    )


def _arm_verdict(arm: Arm, people: str) -> str:
    right = f"right in {percent(arm.accuracy.value)} of the trials"
    if arm.interval is not None:
        right += f" (95{SPACE}% interval {interval(arm.interval)})"
    match arm.conclusion:
        case "better than chance" | "better than chance, by less than the margin":
            return f"{people} told generated images from real ones: {right}."
        case "worse than chance":
            return (
                f"{people} took generated images for real, and real ones for generated, more often than not: "
                f"{right}."
            )
        case "everyone flagged":
            return (
                f"Nothing can be concluded: the answers of all {arm.participants} participants look careless "
                f"({right})."
            )
        case "indistinguishable" | "indistinguishable, attention not assessed":
            claim = f"Indistinguishable, within {100 * _margin(arm):.2g} points of chance"
            if arm.attention is None:
                claim += ", if people looked (attention not assessed)"
            return f"{claim}: {people.lower()} were {right}."
    return (
        f"Undecided: {people.lower()} were {right}. Neither a difference from chance nor equivalence to it "
        "is shown."
    )


def _margin(arm: Arm) -> float:
    """Return the study's margin: that of the test, divided by the share of people who looked."""
    if arm.equivalence is None:
        return 0.0
    return arm.equivalence.margin / (arm.attention.share if arm.attention else 1)
