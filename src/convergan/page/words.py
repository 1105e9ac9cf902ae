"""Formats of numbers in pages and tables."""

SPACE = "\N{NO-BREAK SPACE}"


def percent(rate: float, *, size: int = 0) -> str:
    """Format a rate with enough digits to show a difference of one image in `size`."""
    return f"{100 * rate:.{2 if size >= 2000 else 1}f}{SPACE}%"


def percent_interval(low: float, high: float) -> str:
    """Format an interval of a rate: "1.5 to 4.4 %"."""
    return f"{100 * low:.1f} to {percent(high)}"


def number(value: float) -> str:
    return f"{value:.3g}"


def count(value: int) -> str:
    return f"{value:,}"


def chance(p_value: float) -> str:
    return "below 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def is_no_evidence(p_value: float) -> bool:
    """True for a p-value that is written as 1: chance alone makes a difference at least this large."""
    return p_value >= 0.995


def approximate_duration(seconds: float) -> str:
    """Format an estimated time, rounded: "40 s", "25 min", "1 h 20 min", "3 days"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / 86_400):,} days"
