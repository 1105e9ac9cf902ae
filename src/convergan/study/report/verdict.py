"""What a study's report concludes, and what it warns of."""

from collections import Counter
from collections.abc import Sequence

from convergan.page.words import SPACE, percent
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.findings import (
    Arm,
    ArmWithFlagged,
    Comparison,
    ComparisonWithFlagged,
    Findings,
)
from convergan.study.analysis.thresholds import Threshold, ThresholdComparison
from convergan.study.design.staircase import FEWEST_TRIALS, LONGEST_MS, SHORTEST_MS, TARGET
from convergan.study.report.words import (
    interval,
    milliseconds,
    milliseconds_interval,
    needed,
    p_words,
    widest,
)

FEW_PARTICIPANTS = 10
"""Below this, intervals over participants are too narrow."""

_ENOUGH_ATTENTION = 0.8
"""Below this share of people who looked a report warns."""

_MOST_NAMED = 4


def differs(comparison: Comparison | ThresholdComparison) -> bool:
    return comparison.p_holm is not None and comparison.p_holm < SIGNIFICANCE


def verdict(findings: Findings, *, simulated: bool = False) -> str:
    """The study in one sentence; in two where some arms are timed and some are not."""
    who = "Bots" if simulated else "People"
    untimed = [arm for arm in findings.arms if not arm.timed]
    if len(untimed) == len(findings.arms):
        return _of_accuracies(untimed, findings.comparisons, who)
    of_timed = _of_thresholds(findings, who)
    if not untimed:
        return of_timed
    return f"Untimed: {_of_accuracies(untimed, findings.comparisons, who)} Timed: {of_timed}"


def cautions(findings: Findings) -> list[str]:
    """What weakens what the report says, in sentences."""
    few = [
        f"“{arm.name}” ({arm.participants})"
        for arm in findings.arms
        if arm.participants < FEW_PARTICIPANTS
    ]
    said = _of_attention(findings) + _of_flagged(findings)
    if few:
        of_all = f"{len(few)} of {len(findings.arms)} arms"
        said.append(
            f"Fewer than {FEW_PARTICIPANTS} participants in "
            f"{', '.join(few) if len(few) <= _MOST_NAMED else of_all}: intervals of so few are too "
            "narrow; trust none of them much."
        )
    for arm, found in measured(findings):
        said += _of_exposures(arm, found)
    return said


def _of_attention(findings: Findings) -> list[str]:
    """Whether people did the task."""
    unknown = [arm for arm in findings.arms if arm.attention is None]
    said = []
    if unknown:
        some = len(unknown) < len(findings.arms) <= _MOST_NAMED
        where = f" in {', '.join(f'“{arm.name}”' for arm in unknown)}" if some else ""
        careless = (
            "A long exposure, or a longer one in one arm than in another"
            if all(arm.timed for arm in unknown)
            else "An accuracy near chance, or nearer to it in one arm than in another"
        )
        said.append(
            f"Attention{where}: not assessed, as no obvious fakes (positive controls) were among the trials. "
            f"{careless}, may be due to carelessness."
        )
    for arm in findings.arms:
        if arm.attention is not None and arm.attention.share < _ENOUGH_ATTENTION:
            shown = (
                f"shows only that at least {percent(arm.attention.share)} of the votes came from people who "
                "looked"
                if arm.attention.share > 0
                else "does not show that anybody looked"
            )
            said.append(
                f"“{arm.name}”: {percent(arm.attention.recognized)} of the obvious fakes were called "
                f"generated, which {shown}."
            )
    return said


def _of_flagged(findings: Findings) -> list[str]:
    """Who was left out, and whether that changes what is said."""
    if findings.with_flagged is None:
        return []
    reasons = Counter(reason for each in findings.flagged for reason in each.reasons)
    counted = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
    number = len(findings.flagged)
    emptied = {arm.name for arm in findings.arms if arm.conclusion == "everyone flagged"}
    everybody = findings.with_flagged.arms
    said = [
        f"Flagged as careless: {number} participant{'s' * (number > 1)} ({counted}), left out of all that "
        f"follows{' except where an arm has no others' * bool(emptied)}; with them: "
        + "; ".join(_with_flagged(each) for each in everybody[:_MOST_NAMED])
        + ("; …" if len(everybody) > _MOST_NAMED else "")
        + "."
    ]
    without = {arm.name: arm.conclusion for arm in findings.arms}
    changed = [
        f"“{each.name}”"
        for each in everybody
        if each.name not in emptied and without[each.name] != each.conclusion
    ]
    if changed:
        said.append(
            f"Leaving the flagged out changes the conclusion about {', '.join(changed[:_MOST_NAMED])}"
            f"{' and others' * (len(changed) > _MOST_NAMED)}."
        )
    for compared, with_all, what in (
        (findings.comparisons, findings.with_flagged.comparisons, "arms"),
        (
            findings.threshold_comparisons,
            findings.with_flagged.threshold_comparisons,
            "exposures",
        ),
    ):
        changes = _changes(compared, with_all)
        if changes:
            said.append(
                f"Leaving the flagged out changes {changes} of {len(compared)} comparison"
                f"{'s' * (len(compared) > 1)} of {what}."
            )
    return said


def _with_flagged(arm: ArmWithFlagged) -> str:
    if arm.threshold is not None:
        return f"“{arm.name}” {needed(arm.threshold)}"
    if arm.conclusion == "not applicable":
        return f"“{arm.name}” {percent(arm.accuracy)} right"
    return f"“{arm.name}” {percent(arm.accuracy)} right, {arm.conclusion}"


def _changes(
    without: Sequence[Comparison | ThresholdComparison],
    with_all: Sequence[ComparisonWithFlagged | ThresholdComparison],
) -> int:
    """How many comparisons show a difference only with, or only without the flagged."""
    p_values = {(each.first, each.second): each.p_holm for each in with_all}
    return sum(
        differs(each) != (p_holm < SIGNIFICANCE)
        for each in without
        if each.p_holm is not None
        and (p_holm := p_values.get((each.first, each.second))) is not None
    )


def _of_exposures(arm: Arm, found: Threshold) -> list[str]:
    said = []
    if found.wrong_exposures:
        said.append(
            f"“{arm.name}”: {found.wrong_exposures:,} answers are left out, as their images were shown more "
            "than a frame longer or shorter than asked for."
        )
    if found.unmeasured:
        said.append(
            f"“{arm.name}”: for {found.unmeasured:,} answers it is not known how long the image was shown; "
            "the exposure that was asked for stands in."
        )
    for beyond, end, exposure_ms, way in (
        (found.beyond_longest, "longer than the longest", LONGEST_MS, "more"),
        (found.beyond_shortest, "shorter than the shortest", SHORTEST_MS, "less"),
    ):
        if beyond:
            said.append(
                f"“{arm.name}”: the thresholds of {beyond} of {found.participants} participants are {end} "
                f"exposure, {milliseconds(exposure_ms)}: they may need even {way}."
            )
    return said


def measured(findings: Findings) -> list[tuple[Arm, Threshold]]:
    """The timed arms whose thresholds are known."""
    return [(arm, arm.threshold) for arm in findings.arms if arm.threshold is not None]


def _of_accuracies(arms: list[Arm], comparisons: list[Comparison], who: str) -> str:
    if len(arms) == 1:
        return _of_one(arms[0], who)
    ranked = sorted(arms, key=lambda arm: arm.accuracy.value)
    hardest, easiest = ranked[0], ranked[-1]
    low, high = percent(hardest.accuracy.value), percent(easiest.accuracy.value)
    if len(arms) == 2:
        return (
            f"{who} were right in {high} of the trials in arm “{easiest.name}” and in {low} in arm "
            f"“{hardest.name}”: {_compared(comparisons)}."
        )
    return (
        f"{who} were right in {low} (“{hardest.name}”) to {high} (“{easiest.name}”) of the trials; "
        f"{_compared(comparisons)}."
    )


def _of_thresholds(findings: Findings, who: str) -> str:
    emptied = {arm.name for arm in findings.arms if arm.conclusion == "everyone flagged"}
    known = [pair for pair in measured(findings) if pair[0].name not in emptied]
    ranked = sorted(known, key=lambda pair: pair[1].exposure_ms.value)
    if not ranked and emptied:
        return "Nothing can be concluded: the answers of all participants look careless."
    if not ranked:
        return (
            f"Undecided: to find how long {who.lower()} need to see an image takes more than {FEWEST_TRIALS} "
            "trials from each of them."
        )
    right = f"to be right {100 * TARGET:.0f}{SPACE}% of the time"
    (easiest, least), (hardest, most) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        bounds = widest(most.exposure_ms)
        between = f" (95{SPACE}% interval {milliseconds_interval(bounds)})" if bounds else ""
        several = sum(arm.timed for arm in findings.arms) > 1
        where = f" in arm “{hardest.name}”" if several else ""
        return f"{who} needed {needed(most)}{between}{where} {right}."
    tested = [
        each for each in findings.threshold_comparisons if not {each.first, each.second} & emptied
    ]
    compared = _compared(tested)
    if len(ranked) == 2:
        return (
            f"{who} needed {needed(most)} in arm “{hardest.name}” and {needed(least)} in arm "
            f"“{easiest.name}” {right}: {compared}."
        )
    return (
        f"{who} needed {needed(least)} (“{easiest.name}”) to {needed(most)} (“{hardest.name}”) "
        f"{right}; {compared}."
    )


def _compared(comparisons: Sequence[Comparison | ThresholdComparison]) -> str:
    """Whether two arms differ; of more, how many do."""
    found = sum(map(differs, comparisons))
    if len(comparisons) == 1:
        chances = p_words(comparisons[0].p_holm)
        if found:
            return f"the arms differ ({chances})"
        if comparisons[0].p_holm is None:
            return f"undecided ({chances})"
        return f"undecided, as a difference this small may be chance ({chances})"
    tested = sum(each.p_holm is not None for each in comparisons)
    if not tested:
        return f"none of {len(comparisons)} comparisons of arms could be tested"
    of = f"{tested} tested" if tested < len(comparisons) else str(tested)
    return (
        f"{found or 'none'} of {of} comparisons of arms "
        f"{'shows' if found == 1 else 'show'} a difference"
    )


def _of_one(arm: Arm, who: str) -> str:
    right = f"right in {percent(arm.accuracy.value)} of the trials"
    if arm.interval is not None:
        right += f" (95{SPACE}% interval {interval(arm.interval)})"
    match arm.conclusion:
        case "better than chance" | "better than chance, by less than the margin":
            return f"{who} told generated images from real ones: {right}."
        case "worse than chance":
            return f"{who} took generated for real and real for generated more often than not: {right}."
        case "everyone flagged":
            return (
                f"Nothing can be concluded: the answers of all {arm.participants} participants look careless "
                f"({right})."
            )
        case "indistinguishable" | "indistinguishable, attention not assessed":
            said = f"Indistinguishable, to within {100 * _margin(arm):.2g} points of chance"
            if arm.attention is None:
                said += ", if people looked (attention: not assessed)"
            return f"{said}: {who.lower()} were {right}."
    return f"Undecided: {who.lower()} were {right}, which neither beats chance nor is shown to equal it."


def _margin(arm: Arm) -> float:
    """Of the people who looked: the study's."""
    if arm.equivalence is None:
        return 0.0
    return arm.equivalence.margin / (arm.attention.share if arm.attention else 1)
