"""Limits on the requests of one visitor."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

_MOST_VISITORS = 10_000


def visitor_at(host: str) -> str:
    """Name the visitor at an address, for limits.

    IPv6 addresses with the same first 64 bits are one visitor: a network has all of them.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return host


class Limit:
    """Limit for each visitor: so many requests at once, then so many per second. In this process alone."""

    def __init__(
        self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once = at_once
        self._a_second = a_second
        self._clock = clock
        self._visitors: dict[str, tuple[float, float]] = {}

    def allows(self, visitor: str) -> bool:
        """Return whether the visitor may make a request now; if so, count it."""
        now = self._clock()
        left, previous = self._visitors.pop(visitor, (float(self._at_once), now))
        left = min(self._at_once, left + (now - previous) * self._a_second)
        allowed = left >= 1
        self._visitors[visitor] = (left - 1 if allowed else left, now)
        if len(self._visitors) > _MOST_VISITORS:
            # The visitor who has been away longest has most likely regained all requests.
            del self._visitors[next(iter(self._visitors))]
        return allowed
