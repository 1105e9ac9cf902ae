"""How pages and tables write numbers."""

SPACE = "\N{NO-BREAK SPACE}"


def percent(rate: float, *, size: int = 0) -> str:
    """Enough digits to tell one image of `size` from the next."""
    return f"{100 * rate:.{2 if size >= 2000 else 1}f}{SPACE}%"


def number(value: float) -> str:
    return f"{value:.3g}"


def count(value: int) -> str:
    return f"{value:,}"


def chance(p_value: float) -> str:
    return "below 0.001" if p_value < 0.001 else f"{p_value:.2g}"
