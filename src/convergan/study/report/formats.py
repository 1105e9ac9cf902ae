"""Formats of numbers in a study's report."""

from convergan.page.words import SPACE, chance, percent
from convergan.statistics.correlation import Correlation
from convergan.statistics.intervals import Interval
from convergan.study.analysis.estimates import MeanEstimate
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.thresholds import Threshold

_MINUS = "\N{MINUS SIGN}"


def interval(bounds: Interval | None) -> str:
    """Format an interval of a share: "76.4 to 80.9 %"."""
    return "–" if bounds is None else f"{100 * bounds[0]:.1f} to {percent(bounds[1])}"


def index(value: float) -> str:
    """Format a number that is not a share: d', a criterion, a correlation."""
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, 2) + 0:.2f}".replace("-", _MINUS)


def index_interval(bounds: Interval | None) -> str:
    """Format an interval of such a number: "1.45 to 1.79"."""
    return "–" if bounds is None else f"{index(bounds[0])} to {index(bounds[1])}"


def points(difference: float) -> str:
    """Format a difference of two shares in percentage points, with its sign: "+7.3"."""
    return f"{100 * difference:+.1f}".replace("-", _MINUS)


def points_interval(bounds: Interval | None) -> str:
    return "–" if bounds is None else f"{points(bounds[0])} to {points(bounds[1])}"


def milliseconds(value: float) -> str:
    return f"{value:,.0f}{SPACE}ms"


def milliseconds_interval(bounds: Interval | None) -> str:
    """Format an interval of exposures: "301 to 338 ms"."""
    return "–" if bounds is None else f"{bounds[0]:,.0f} to {milliseconds(bounds[1])}"


def times(ratio: float) -> str:
    """Format a ratio: "1.61 times"."""
    return f"{ratio:.2f} times"


def times_interval(bounds: Interval | None) -> str:
    """Format an interval of a ratio: "1.41 to 1.84"."""
    return "–" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"


def widest(estimate: MeanEstimate) -> Interval | None:
    """Return the interval for a sentence: over participants and images where the images are known."""
    return estimate.participants_and_images or estimate.participants


def threshold_words(threshold: Threshold) -> str:
    """Format a threshold: "320 ms", or "960 ms or more" where most exceed the longest exposure."""
    return f"{milliseconds(threshold.exposure_ms.value)} {bounded(threshold)}".strip()


def bounded(threshold: Threshold) -> str:
    """Return "or more" or "or less" where most thresholds are beyond the exposures, otherwise ""."""
    if 2 * threshold.beyond_longest > threshold.participants:
        return "or more"
    return "or less" if 2 * threshold.beyond_shortest > threshold.participants else ""


def p_words(p_value: float | None) -> str:
    """Format a p-value: "p = 0.03", "p below 0.001"."""
    if p_value is None:
        return "not tested"
    return f"p {chance(p_value)}" if p_value < 0.001 else f"p{SPACE}={SPACE}{chance(p_value)}"


def correlation_words(correlation: Correlation) -> str:
    """Format a rank correlation: "rho -0.52 (-0.61 to -0.42), p below 0.001, n = 500"."""
    bounds = f" ({index_interval(correlation.interval)})" if correlation.interval else ""
    return f"rho {index(correlation.rho)}{bounds}, {p_words(correlation.p_value)}, n = {correlation.size}"


def unavailable_words(findings: Findings) -> dict[str, str]:
    """Return the names of numbers that are not available, by the reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in findings.unavailable.items():
        reasons.setdefault(reason, []).append(name)
    return {reason: ", ".join(names) for reason, names in reasons.items()}
