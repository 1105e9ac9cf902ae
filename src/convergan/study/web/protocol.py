"""HTTP as the study's server speaks it: answers leave at once, and nobody takes for ever to ask."""

import asyncio
import socket
from contextlib import suppress

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 20.0
"""So long a request may take to arrive, from its first byte, or a new connection until the first request."""


class Prompt(H11Protocol):
    """HTTP whose answers leave at once, and whose requests must arrive in time.

    An answer goes out in two pieces, head and body. The kernel keeps the second until the first has been
    acknowledged, which browsers delay by 40 ms, and asyncio switches that off only on sockets it has made.
    Connections that send a byte now and then would otherwise be kept for ever, until there are no more.
    Of h11, which is always there: uvicorn no longer looks for httptools.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        # The other side may be gone already.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        received, _ = self.conn.trailing_data
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and received):
            self._expect_request()
        else:
            self._stop_expecting()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop_expecting()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        # From the first byte, however many follow.
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
