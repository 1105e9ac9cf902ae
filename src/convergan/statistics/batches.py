"""Size of batches of replicates, so that memory does not grow with their number."""

_NUMBERS = 4_000_000


def replicates_at_once(numbers: int) -> int:
    """Number of replicates, of `numbers` float64 each, that take about 32 MB; at least 1."""
    return max(1, _NUMBERS // numbers)
