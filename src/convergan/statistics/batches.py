"""How many replicates are computed at once, so that memory does not grow with their number."""

_NUMBERS = 4_000_000


def replicates_at_once(numbers: int) -> int:
    """As many replicates of so many numbers each as take about 32 MB, at least one."""
    return max(1, _NUMBERS // numbers)
