"""How often one visitor may ask."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

_MOST_VISITORS = 10_000


def visitor_at(host: str) -> str:
    """Whom the limits of an address are for: of IPv6 all that share its first 64 bits, as whoever has one of
    them has the others too."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return host


class Limit:
    """So many requests at once, and so many a second after that, for each visitor; in this process alone."""

    def __init__(
        self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once = at_once
        self._a_second = a_second
        self._clock = clock
        self._visitors: dict[str, tuple[float, float]] = {}

    def allows(self, visitor: str) -> bool:
        """Whether the visitor may ask now; if so, that counts."""
        now = self._clock()
        left, then = self._visitors.pop(visitor, (float(self._at_once), now))
        left = min(self._at_once, left + (now - then) * self._a_second)
        allowed = left >= 1
        self._visitors[visitor] = (left - 1 if allowed else left, now)
        if len(self._visitors) > _MOST_VISITORS:
            # The one that has been away longest, who has most likely all requests back.
            del self._visitors[next(iter(self._visitors))]
        return allowed
