"""Quantities in words, with units."""


def bytes_in_words(count: float) -> str:
    """A number of bytes in the unit that fits, with three digits: "960 bytes", "49.9 MB", "1,730 GB"."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB" if size < 999.5 else f"{size:,.0f} GB"
