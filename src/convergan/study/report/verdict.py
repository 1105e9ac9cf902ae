"""The conclusion of a study's report in a sentence, and its cautions."""

from collections import Counter
from collections.abc import Sequence

from convergan.page.words import SPACE, percent
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.findings import (
    AccuracyComparison,
    Arm,
    ArmWithFlagged,
    ComparisonWithFlagged,
    Findings,
)
from convergan.study.analysis.thresholds import Threshold, ThresholdComparison
from convergan.study.design.staircase import FEWEST_TRIALS, LONGEST_MS, SHORTEST_MS, TARGET
from convergan.study.report.formats import (
    interval,
    milliseconds,
    milliseconds_interval,
    p_words,
    threshold_words,
    widest,
)

FEW_PARTICIPANTS = 10
"""Number of participants below which intervals over participants are too narrow."""

_ENOUGH_ATTENTION = 0.8
"""Share of people who looked, below which the report has a caution."""

_MOST_NAMED = 4
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


def cautions(findings: Findings) -> list[str]:
    """Write sentences on everything that weakens the report's conclusions."""
    small_arms = [
        f"“{arm.name}” ({arm.participants})"
        for arm in findings.arms
        if arm.participants < FEW_PARTICIPANTS
    ]
    sentences = _attention_cautions(findings) + _flagged_cautions(findings)
    if small_arms:
        arms = (
            ", ".join(small_arms)
            if len(small_arms) <= _MOST_NAMED
            else f"{len(small_arms)} of {len(findings.arms)} arms"
        )
        sentences.append(
            f"Fewer than {FEW_PARTICIPANTS} participants in {arms}: with so few, intervals are too narrow; "
            "do not rely on them."
        )
    for arm, threshold in measured(findings):
        sentences += _exposure_cautions(arm, threshold)
    return sentences


def _attention_cautions(findings: Findings) -> list[str]:
    """Write cautions on whether people did the task."""
    unassessed = [arm for arm in findings.arms if arm.attention is None]
    sentences = []
    if unassessed:
        show_names = len(unassessed) < len(findings.arms) <= _MOST_NAMED
        place = f" in {', '.join(f'“{arm.name}”' for arm in unassessed)}" if show_names else ""
        doubtful = (
            "A long exposure, or a longer one in one arm than in another"
            if all(arm.timed for arm in unassessed)
            else "An accuracy near chance, or nearer to it in one arm than in another"
        )
        sentences.append(
            f"Attention{place} was not assessed: there were no obvious fakes (positive controls) among the "
            f"trials. {doubtful}, may be due to carelessness."
        )
    for arm in findings.arms:
        if arm.attention is not None and arm.attention.share < _ENOUGH_ATTENTION:
            consequence = (
                f"shows only that at least {percent(arm.attention.share)} of the votes came from people who "
                "looked"
                if arm.attention.share > 0
                else "does not show that anybody looked"
            )
            sentences.append(
                f"“{arm.name}”: {percent(arm.attention.recognized)} of the obvious fakes were called "
                f"generated, which {consequence}."
            )
    return sentences


def _flagged_cautions(findings: Findings) -> list[str]:
    """Write cautions on flagged participants, and on conclusions that depend on leaving them out."""
    if findings.with_flagged is None:
        return []
    reasons = Counter(reason for participant in findings.flagged for reason in participant.reasons)
    counted = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
    number = len(findings.flagged)
    emptied = {arm.name for arm in findings.arms if arm.conclusion == "everyone flagged"}
    arms = findings.with_flagged.arms
    exception = ", except in arms where all participants are flagged" * bool(emptied)
    sentences = [
        f"Flagged as careless: {number} participant{'s' * (number > 1)} ({counted}). All results are without "
        f"{'them' if number > 1 else 'this participant'}{exception}. With all participants: "
        + "; ".join(_with_flagged(arm) for arm in arms[:_MOST_NAMED])
        + ("; …" if len(arms) > _MOST_NAMED else "")
        + "."
    ]
    conclusions = {arm.name: arm.conclusion for arm in findings.arms}
    changed = [
        f"“{arm.name}”"
        for arm in arms
        if arm.name not in emptied and conclusions[arm.name] != arm.conclusion
    ]
    if changed:
        sentences.append(
            "Leaving out the flagged participants changes the conclusion about "
            f"{', '.join(changed[:_MOST_NAMED])}{' and others' * (len(changed) > _MOST_NAMED)}."
        )
    for compared, with_all, kind in (
        (findings.comparisons, findings.with_flagged.comparisons, "arms"),
        (
            findings.threshold_comparisons,
            findings.with_flagged.threshold_comparisons,
            "exposures",
        ),
    ):
        changes = _changes(compared, with_all)
        if changes:
            sentences.append(
                f"Leaving out the flagged participants changes {changes} of {len(compared)} comparison"
                f"{'s' * (len(compared) > 1)} of {kind}."
            )
    return sentences


def _with_flagged(arm: ArmWithFlagged) -> str:
    if arm.threshold is not None:
        return f"“{arm.name}” {threshold_words(arm.threshold)}"
    if arm.conclusion == "not applicable":
        return f"“{arm.name}” {percent(arm.accuracy)} right"
    return f"“{arm.name}” {percent(arm.accuracy)} right, {arm.conclusion}"


def _changes(
    comparisons: Sequence[AccuracyComparison | ThresholdComparison],
    with_all: Sequence[ComparisonWithFlagged | ThresholdComparison],
) -> int:
    """Count the comparisons that show a difference only with, or only without, flagged participants."""
    p_values = {(pair.first, pair.second): pair.p_holm for pair in with_all}
    return sum(
        differs(pair) != (p_holm < SIGNIFICANCE)
        for pair in comparisons
        if pair.p_holm is not None
        and (p_holm := p_values.get((pair.first, pair.second))) is not None
    )


def _exposure_cautions(arm: Arm, threshold: Threshold) -> list[str]:
    sentences = []
    if threshold.wrong_exposures:
        sentences.append(
            f"“{arm.name}”: {_answers(threshold.wrong_exposures)} left out because the image was shown more "
            "than a frame longer or shorter than requested."
        )
    if threshold.unmeasured:
        sentences.append(
            f"“{arm.name}”: {_answers(threshold.unmeasured)} without a measured exposure; the requested "
            "exposure is used instead."
        )
    for number, comparative, end, exposure_ms in (
        (threshold.beyond_longest, "longer", "longest", LONGEST_MS),
        (threshold.beyond_shortest, "shorter", "shortest", SHORTEST_MS),
    ):
        if number:
            sentences.append(
                f"“{arm.name}”: the thresholds of {number} of {threshold.participants} participants are "
                f"{comparative} than the {end} exposure, {milliseconds(exposure_ms)}; the true ones may be "
                f"even {comparative}."
            )
    return sentences


def _answers(number: int) -> str:
    return f"{number:,} answer{' is' if number == 1 else 's are'}"


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
    emptied = {arm.name for arm in findings.arms if arm.conclusion == "everyone flagged"}
    thresholds = [pair for pair in measured(findings) if pair[0].name not in emptied]
    ranked = sorted(thresholds, key=lambda pair: pair[1].exposure_ms.value)
    if not ranked and emptied:
        return "Nothing can be concluded: the answers of all participants look careless."
    if not ranked:
        return (
            f"Undecided: finding out how long {people.lower()} need to see an image takes more than "
            f"{FEWEST_TRIALS} trials per participant."
        )
    right = f"to be right {100 * TARGET:.0f}{SPACE}% of the time"
    (easiest, shortest), (hardest, longest) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        bounds = widest(longest.exposure_ms)
        uncertainty = f" (95{SPACE}% interval {milliseconds_interval(bounds)})" if bounds else ""
        several = sum(arm.timed for arm in findings.arms) > 1
        place = f" in arm “{hardest.name}”" if several else ""
        return f"{people} needed {threshold_words(longest)}{uncertainty}{place} {right}."
    tested = [
        pair for pair in findings.threshold_comparisons if not {pair.first, pair.second} & emptied
    ]
    compared = _compared(tested)
    if len(ranked) == 2:
        return (
            f"{people} needed {threshold_words(longest)} in arm “{hardest.name}” and "
            f"{threshold_words(shortest)} in arm “{easiest.name}” {right}: {compared}."
        )
    return (
        f"{people} needed {threshold_words(shortest)} (“{easiest.name}”) to "
        f"{threshold_words(longest)} (“{hardest.name}”) {right}; {compared}."
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
