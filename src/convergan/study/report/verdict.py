"""What a study's report concludes, and what it warns of."""

from collections.abc import Sequence

from convergan.page.words import SPACE, percent
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.findings import Arm, Comparison, Findings
from convergan.study.rates import CHANCE
from convergan.study.report.words import (
    interval,
    milliseconds,
    milliseconds_interval,
    needed,
    p_words,
)
from convergan.study.staircase import LONGEST_MS, SETTLED, SHORTEST_MS, TARGET
from convergan.study.thresholds import Threshold, ThresholdComparison

FEW_PARTICIPANTS = 10
"""Below this, intervals over participants are too narrow."""

_MOST_NAMED = 4


def differs(comparison: Comparison | ThresholdComparison) -> bool:
    return comparison.p_holm is not None and comparison.p_holm < SIGNIFICANCE


def told_apart(arm: Arm) -> str:
    """What an arm's accuracy says: "better than chance", "worse than chance", "indistinguishable" or
    "undecided"; "not applicable" where a staircase drives it."""
    if arm.timed:
        return "not applicable"
    if _leaves_out_chance(arm) and _beyond_chance(arm):
        if arm.accuracy.value < CHANCE:
            return "worse than chance"
        better = "better than chance"
        # So many votes that even a difference that does not matter is seen.
        small = arm.equivalence is not None and arm.equivalence.equivalent
        return f"{better}, by less than the margin" if small else better
    if arm.equivalence is not None and arm.equivalence.equivalent:
        return "indistinguishable"
    return "undecided"


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
    said = []
    if few:
        of_all = f"{len(few)} of {len(findings.arms)} arms"
        said.append(
            f"Fewer than {FEW_PARTICIPANTS} participants in "
            f"{', '.join(few) if len(few) <= _MOST_NAMED else of_all}: intervals of so few are too "
            "narrow; trust none of them much."
        )
    for arm, found in measured(findings):
        for reached, end, exposure_ms, way in (
            (found.reached_longest, "longest", LONGEST_MS, "more"),
            (found.reached_shortest, "shortest", SHORTEST_MS, "less"),
        ):
            if reached:
                said.append(
                    f"“{arm.name}”: the staircases of {reached} of {found.participants} participants "
                    f"came to the {end} exposure, {milliseconds(exposure_ms)}: they may need {way}."
                )
    return said


def measured(findings: Findings) -> list[tuple[Arm, Threshold]]:
    """The timed arms whose thresholds are known."""
    return [(arm, arm.threshold) for arm in findings.arms if arm.threshold is not None]


def _leaves_out_chance(arm: Arm) -> bool:
    """The interval that is printed does."""
    bounds = arm.accuracy.participants
    return bounds is not None and not bounds[0] <= CHANCE <= bounds[1]


def _beyond_chance(arm: Arm) -> bool:
    return arm.chance_p_value is not None and arm.chance_p_value < SIGNIFICANCE


def _of_accuracies(arms: list[Arm], comparisons: list[Comparison], who: str) -> str:
    if len(arms) == 1:
        return _of_one(arms[0], who)
    ranked = sorted(arms, key=lambda arm: arm.accuracy.value)
    hardest, easiest = ranked[0], ranked[-1]
    low, high = percent(hardest.accuracy.value), percent(easiest.accuracy.value)
    if len(arms) == 2:
        return (
            f"{who} were right in {high} of the trials in arm “{easiest.name}”, in {low} in arm "
            f"“{hardest.name}”: {_compared(comparisons)}."
        )
    return (
        f"{who} were right in {low} (“{hardest.name}”) to {high} (“{easiest.name}”) of the trials; "
        f"{_compared(comparisons)}."
    )


def _of_thresholds(findings: Findings, who: str) -> str:
    ranked = sorted(measured(findings), key=lambda pair: pair[1].exposure_ms.value)
    if not ranked:
        return (
            f"Undecided: how long {who.lower()} must see an image takes more than {SETTLED} trials of "
            "each to know."
        )
    right = f"to be right {100 * TARGET:.0f}{SPACE}% of the time"
    (easiest, least), (hardest, most) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        bounds = most.exposure_ms.participants
        between = f" (95{SPACE}% interval {milliseconds_interval(bounds)})" if bounds else ""
        several = sum(arm.timed for arm in findings.arms) > 1
        where = f" in arm “{hardest.name}”" if several else ""
        return f"{who} needed {needed(most)}{between}{where} {right}."
    compared = _compared(findings.threshold_comparisons)
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
        return f"undecided, so small a difference may be chance ({chances})"
    return (
        f"{found or 'none'} of {len(comparisons)} comparisons of arms "
        f"{'shows' if found == 1 else 'show'} a difference"
    )


def _of_one(arm: Arm, who: str) -> str:
    right = f"right in {percent(arm.accuracy.value)} of the trials"
    if arm.accuracy.participants is not None:
        right += f" (95{SPACE}% interval {interval(arm.accuracy.participants)})"
    state = told_apart(arm)
    if state.startswith("better"):
        return f"{who} told generated images from real ones: {right}."
    if state == "worse than chance":
        return f"{who} took generated for real and real for generated more often than not: {right}."
    if state == "indistinguishable" and arm.equivalence is not None:
        margin = f"{100 * arm.equivalence.margin:g}"
        return (
            f"Indistinguishable, to within {margin} points of chance: {who.lower()} were {right}."
        )
    if _leaves_out_chance(arm):
        return (
            f"Undecided: {who.lower()} were {right}, but by a t-test over participants that may be "
            f"chance ({p_words(arm.chance_p_value)})."
        )
    return f"Undecided: {who.lower()} were {right}, which neither beats chance nor is shown to equal it."
