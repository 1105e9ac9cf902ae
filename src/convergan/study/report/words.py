"""How a study's report writes its numbers."""

from convergan.page.words import SPACE, chance, percent
from convergan.statistics.correlation import Correlation
from convergan.statistics.intervals import Interval
from convergan.study.analysis.estimates import Estimate
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.thresholds import Threshold

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


def milliseconds(value: float) -> str:
    return f"{value:,.0f}{SPACE}ms"


def milliseconds_interval(bounds: Interval | None) -> str:
    """ "301 to 338 ms" """
    return "–" if bounds is None else f"{bounds[0]:,.0f} to {milliseconds(bounds[1])}"


def times(ratio: float) -> str:
    """ "1.61 times" """
    return f"{ratio:.2f} times"


def times_interval(bounds: Interval | None) -> str:
    """ "1.41 to 1.84" """
    return "–" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"


def widest(estimate: Estimate) -> Interval | None:
    """The interval that a sentence rests on: over participants and images, where the images are known."""
    return estimate.participants_and_images or estimate.participants


def needed(threshold: Threshold) -> str:
    """ "320 ms"; "960 ms or more" where most need more than the longest exposure."""
    return f"{milliseconds(threshold.exposure_ms.value)} {bounded(threshold)}".strip()


def bounded(threshold: Threshold) -> str:
    """ "or more", "or less", or nothing."""
    if 2 * threshold.beyond_longest > threshold.participants:
        return "or more"
    return "or less" if 2 * threshold.beyond_shortest > threshold.participants else ""


def p_words(p_value: float | None) -> str:
    """ "p = 0.03", "p below 0.001" """
    if p_value is None:
        return "not tested"
    return f"p {chance(p_value)}" if p_value < 0.001 else f"p = {chance(p_value)}"


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
