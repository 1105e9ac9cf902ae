"""Sentences on everything that weakens the conclusions of a study's report."""

from collections import Counter
from collections.abc import Sequence

from convergan.errors import first_of
from convergan.page.words import percent
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.findings import (
    AccuracyComparison,
    Arm,
    ArmWithFlagged,
    ComparisonWithFlagged,
    Findings,
)
from convergan.study.analysis.thresholds import ThresholdComparison
from convergan.study.design.staircase import FEWEST_TRIALS, LONGEST_MS, SHORTEST_MS
from convergan.study.report.formats import milliseconds, threshold_words
from convergan.study.report.verdict import (
    FEW_PARTICIPANTS,
    MOST_NAMED,
    count_of,
    differs,
    left_out,
    measured,
)

_ENOUGH_ATTENTION = 0.8
"""Share of people who looked, below which the report has a caution."""


def cautions(findings: Findings) -> list[str]:
    """Write sentences on everything that weakens the report's conclusions."""
    sentences = _attention_cautions(findings) + _flagged_cautions(findings)
    small_arms = [
        f"“{arm.name}” ({arm.participants})"
        for arm in findings.arms
        if arm.participants < FEW_PARTICIPANTS
    ]
    small_thresholds = [
        f"“{arm.name}” ({threshold.participants})"
        for arm, threshold in measured(findings)
        if threshold.participants < min(FEW_PARTICIPANTS, arm.participants)
    ]
    for arms, kind in (
        (small_arms, "participants"),
        (small_thresholds, "participants with a threshold"),
    ):
        if arms:
            place = (
                ", ".join(arms)
                if len(arms) <= MOST_NAMED
                else f"{len(arms)} of {len(findings.arms)} arms"
            )
            sentences.append(
                f"Fewer than {FEW_PARTICIPANTS} {kind} in {place}: with so few, intervals are too narrow, or "
                "cannot be computed; do not rely on them."
            )
    for arm in findings.arms:
        sentences += _exposure_cautions(arm)
    return sentences


def _attention_cautions(findings: Findings) -> list[str]:
    """Write cautions on whether people did the task."""
    unassessed = [arm for arm in findings.arms if arm.attention is None]
    sentences = []
    if unassessed:
        show_names = len(unassessed) < len(findings.arms) <= MOST_NAMED
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
        + "; ".join(_with_flagged(arm) for arm in arms[:MOST_NAMED])
        + ("; …" if len(arms) > MOST_NAMED else "")
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
            f"{', '.join(changed[:MOST_NAMED])}{' and others' * (len(changed) > MOST_NAMED)}."
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
        return f"“{arm.name}” without a threshold"
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


def _exposure_cautions(arm: Arm) -> list[str]:
    """Write cautions on the answers and participants that an arm's threshold leaves out, and on its range."""
    answers, threshold = arm.timed_answers, arm.threshold
    if answers is None:
        return []
    sentences = [f"“{arm.name}”: {reason}." for reason in left_out([answers])]
    number = len(answers.too_few)
    if number:
        have = "has" if number == 1 else "have"
        sentences.append(
            f"“{arm.name}”: {number} of {arm.participants} participants {have} no threshold, as "
            f"{FEWEST_TRIALS} or fewer of their answers are usable "
            f"({first_of(answers.too_few, MOST_NAMED)})."
        )
    if answers.unmeasured:
        sentences.append(
            f"“{arm.name}”: {count_of(answers.unmeasured, answers.counted)} without a measured exposure; the "
            "requested exposure is used instead."
        )
    if threshold is None:
        return sentences
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
