"""HTTP of the study's server: responses leave at once, and requests must arrive in time."""

import asyncio
import socket
from contextlib import suppress

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 20.0
"""Seconds in which a request must arrive, from its first byte; or, on a new connection, the first request."""


class Prompt(H11Protocol):
    """HTTP connection whose responses leave at once, and whose requests must arrive in time.

    A response is sent in two pieces, head and body. The kernel holds back the second until the first has been
    acknowledged, which browsers delay by 40 ms; asyncio switches that off only for sockets of its own.
    Clients that send a byte now and then would otherwise occupy connections for ever, until none are left.
    Based on h11, which is always installed: uvicorn no longer looks for httptools.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request; see asyncio."""
        super().connection_made(transport)
        # The client may be gone already.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Take received bytes, and start or stop waiting for the end of a request; see asyncio."""
        super().data_received(data)
        received, _ = self.conn.trailing_data
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and received):
            self._expect_request()
        else:
            self._stop_expecting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting; see asyncio."""
        self._stop_expecting()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        # The time runs from the first byte, however many follow.
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
