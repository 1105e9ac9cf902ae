"""How a study's report says things."""

from convergan.page.words import SPACE, chance, percent
from convergan.study.findings import Arm, Comparison, Findings
from convergan.study.statistics.correlation import Correlation
from convergan.study.statistics.equivalence import CHANCE
from convergan.study.statistics.intervals import Interval

SIGNIFICANCE = 0.05
_MINUS = "\N{MINUS SIGN}"


def interval(bounds: Interval | None) -> str:
    """ "76.4 to 80.9 %" """
    return "–" if bounds is None else f"{100 * bounds[0]:.1f} to {percent(bounds[1])}"


def index(value: float) -> str:
    """A number that is no share: d', a criterion, a correlation."""
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, 2) + 0:.2f}".replace("-", _MINUS)


def index_interval(bounds: Interval | None) -> str:
    """ "1.45 to 1.79" """
    return "–" if bounds is None else f"{index(bounds[0])} to {index(bounds[1])}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", _MINUS)


def points_interval(bounds: Interval | None) -> str:
    return "–" if bounds is None else f"{points(bounds[0])} to {points(bounds[1])}"


def p_words(p_value: float | None) -> str:
    """ "p = 0.03", "p below 0.001" """
    if p_value is None:
        return "not tested"
    return f"p {chance(p_value)}" if p_value < 0.001 else f"p = {chance(p_value)}"


def differs(comparison: Comparison) -> bool:
    return comparison.p_holm is not None and comparison.p_holm < SIGNIFICANCE


def told_apart(arm: Arm) -> str:
    """What an arm's accuracy says: "better than chance", "worse than chance", "indistinguishable" or
    "undecided"."""
    bounds = arm.accuracy.participants
    if bounds is not None and bounds[0] > CHANCE:
        better = "better than chance"
        # So many votes that even a difference that does not matter is seen.
        small = arm.equivalence is not None and arm.equivalence.indistinguishable
        return f"{better}, by less than the margin" if small else better
    if bounds is not None and bounds[1] < CHANCE:
        return "worse than chance"
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
    return f"Undecided: {who.lower()} were {right}, which neither beats chance nor is shown to equal it."


def correlation_words(correlation: Correlation) -> str:
    """ "rho -0.52 (-0.61 to -0.42), p below 0.001, n = 500" """
    bounds = f" ({index_interval(correlation.interval)})" if correlation.interval else ""
    return f"rho {index(correlation.rho)}{bounds}, {p_words(correlation.p_value)}, n = {correlation.size}"


def unavailable_words(findings: Findings) -> dict[str, str]:
    """What is not known, by the reason why."""
    reasons: dict[str, list[str]] = {}
    for name, why in findings.unavailable.items():
        reasons.setdefault(why, []).append(name)
    return {why: ", ".join(names) for why, names in reasons.items()}
