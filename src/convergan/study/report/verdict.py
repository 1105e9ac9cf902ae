"""What a study's report concludes, and what it warns of."""

from convergan.page.words import SPACE, percent
from convergan.study.findings import Arm, Comparison, Findings
from convergan.study.report.words import interval, p_words
from convergan.study.statistics.equivalence import CHANCE

SIGNIFICANCE = 0.05

FEW_PARTICIPANTS = 10
"""Below this, intervals over participants are too narrow."""

_MOST_NAMED = 4


def differs(comparison: Comparison) -> bool:
    return comparison.p_holm is not None and comparison.p_holm < SIGNIFICANCE


def told_apart(arm: Arm) -> str:
    """What an arm's accuracy says: "better than chance", "worse than chance", "indistinguishable" or
    "undecided"."""
    if _leaves_out_chance(arm) and _beyond_chance(arm):
        if arm.accuracy.value < CHANCE:
            return "worse than chance"
        better = "better than chance"
        # So many votes that even a difference that does not matter is seen.
        small = arm.equivalence is not None and arm.equivalence.indistinguishable
        return f"{better}, by less than the margin" if small else better
    if arm.equivalence is not None and arm.equivalence.indistinguishable:
        return "indistinguishable"
    return "undecided"


def verdict(findings: Findings, *, simulated: bool = False) -> str:
    """The study in one sentence."""
    who = "Bots" if simulated else "People"
    if len(findings.arms) == 1:
        return _of_one(findings.arms[0], who)
    ranked = sorted(findings.arms, key=lambda arm: arm.accuracy.value)
    hardest, easiest = ranked[0], ranked[-1]
    low, high = percent(hardest.accuracy.value), percent(easiest.accuracy.value)
    if len(findings.arms) == 2:
        [comparison] = findings.comparisons
        chances = p_words(comparison.p_holm)
        end = (
            f"the arms differ ({chances})"
            if differs(comparison)
            else f"undecided, so small a difference may be chance ({chances})"
        )
        return (
            f"{who} were right in {high} of the trials in arm “{easiest.name}”, in {low} in arm "
            f"“{hardest.name}”: {end}."
        )
    found = sum(map(differs, findings.comparisons))
    return (
        f"{who} were right in {low} (“{hardest.name}”) to {high} (“{easiest.name}”) of the trials; "
        f"{found or 'none'} of {len(findings.comparisons)} comparisons of arms "
        f"{'shows' if found == 1 else 'show'} a difference."
    )


def cautions(findings: Findings) -> list[str]:
    """What weakens all that the report says, in sentences."""
    few = [
        f"“{arm.name}” ({arm.participants})"
        for arm in findings.arms
        if arm.participants < FEW_PARTICIPANTS
    ]
    if not few:
        return []
    arms = ", ".join(few) if len(few) <= _MOST_NAMED else f"{len(few)} of {len(findings.arms)} arms"
    return [
        f"Fewer than {FEW_PARTICIPANTS} participants in {arms}: intervals of so few are too narrow; "
        "trust none of them much."
    ]


def _leaves_out_chance(arm: Arm) -> bool:
    """The interval that is printed does."""
    bounds = arm.accuracy.participants
    return bounds is not None and not bounds[0] <= CHANCE <= bounds[1]


def _beyond_chance(arm: Arm) -> bool:
    return arm.chance_p_value is not None and arm.chance_p_value < SIGNIFICANCE


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
