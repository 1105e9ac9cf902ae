"""The server of a study: several processes that share nothing but the database."""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from convergan.errors import UserError, system_problem
from convergan.study.keys import Keys, read_key_file
from convergan.study.opening import open_study
from convergan.study.web.app import KEY_FILE, STUDY


class _Prompt(H11Protocol):
    """HTTP whose answers leave at once.

    An answer goes out in two pieces, head and body. The kernel keeps the second until the first has been
    acknowledged, which browsers delay by 40 ms, and asyncio switches that off only on sockets it has made.
    Of h11, which is always there: uvicorn no longer looks for httptools.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        # The other side may be gone already.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


SERVER_OPTIONS: dict[str, Any] = {
    "http": _Prompt,
    # Addresses hold the identifiers of those who come.
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    # Longer than people think about an image.
    "timeout_keep_alive": 75,
}


def ready_to_serve(study: str, key_file: Path, *, host: str, port: int) -> Keys:
    """Sees to everything that may be wrong before a server starts; gives the study's secrets.

    Args:
        study: as for `open_study`.
        key_file: the study's secrets.
        host: the address to listen on.
        port: likewise.

    Raises:
        UserError: no study, no keys of it, or nothing to listen on.
    """
    open_study(study).close()
    keys = read_key_file(key_file)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        # As the server does: a port that another has just left is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise UserError(
                f"host, port: expected a free one to listen on, got {host} and {port}:"
                f" {system_problem(error)}"
            ) from None
    return keys


def serve(study: str, key_file: Path, *, host: str, port: int, workers: int) -> None:
    """Serves a study until it is stopped. There is no log of requests.

    Args:
        study: as for `open_study`.
        key_file: the study's secrets.
        host: the address to listen on.
        port: likewise, which `ready_to_serve` has found free.
        workers: processes.
    """
    os.environ |= {STUDY: study, KEY_FILE: str(key_file)}
    uvicorn.run(
        "convergan.study.web.app:app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        **SERVER_OPTIONS,
    )
