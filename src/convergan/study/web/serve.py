"""The server of a study: several processes that share nothing but the database."""

import ipaddress
import os
import re
import socket
from pathlib import Path
from typing import Any

import uvicorn

from convergan.errors import UserError, shortened, system_problem
from convergan.study.storage.keys import Keys
from convergan.study.storage.opening import open_with_keys
from convergan.study.web.app import KEY_FILE, ROOT, STUDY, WORKERS
from convergan.study.web.protocol import Prompt

LOOPBACK = "127.0.0.1,::1"
"""Addresses of proxies on this machine."""

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")

SERVER_OPTIONS: dict[str, Any] = {
    "http": Prompt,
    # Addresses hold identifiers of participants.
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    # Longer than people think about an image.
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 10,
}


def ready_to_serve(study: str, key_file: Path, *, host: str, port: int) -> Keys:
    """Check everything that can go wrong before a server starts; return the study's secrets.

    Args:
        study: file or URL of the study, as for `open_study`.
        key_file: file with the study's secrets.
        host: the address to listen on.
        port: the port to listen on.

    Raises:
        UserError: there is no study, the keys are not the study's, or the address cannot be listened on.
    """
    database, keys = open_with_keys(study, key_file)
    database.close()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        # As the server does: a port that another process has just left is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise UserError(
                f"host, port: expected a free address and port to listen on, got {host} and {port}:"
                f" {system_problem(error)}"
            ) from None
    return keys


def trusted_proxies(text: str) -> str:
    """Check addresses and networks that are separated by commas, or `*` for all; return the text.

    Raises:
        UserError: the text is something else.
    """
    for part in text.split(","):
        try:
            if part.strip() != "*":
                ipaddress.ip_network(part.strip())
        except ValueError:
            raise UserError(
                "trusted-proxies: expected addresses or networks such as 10.0.0.0/8, separated by commas,"
                f" or *, got {shortened(text)}"
            ) from None
    return text


def root_path(text: str) -> str:
    """Check a path to serve under; return it without a slash at its end.

    Raises:
        UserError: the text is no such path.
    """
    root = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(root):
        raise UserError(f"root-path: expected a path such as /turing, got {shortened(text)}")
    return root


def serve(
    study: str,
    key_file: Path,
    *,
    host: str,
    port: int,
    workers: int,
    root: str = "",
    proxies: str = LOOPBACK,
) -> None:
    """Serve a study until it is stopped. Requests are not logged.

    Args:
        study: file or URL of the study, as for `open_study`.
        key_file: file with the study's secrets.
        host: the address to listen on.
        port: the port to listen on, which `ready_to_serve` has found free.
        workers: the number of processes.
        root: the path to serve under, from `root_path`.
        proxies: the addresses from `trusted_proxies`, whose headers X-Forwarded-For and X-Forwarded-Proto are
            trusted for a visitor's address and for https.
    """
    os.environ |= {STUDY: study, KEY_FILE: str(key_file), ROOT: root, WORKERS: str(workers)}
    _allow_connections()
    uvicorn.run(
        "convergan.study.web.app:app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        forwarded_allow_ips=proxies,
        **SERVER_OPTIONS,
    )


def _allow_connections() -> None:
    """Raise the limit of open connections, often 1,024, as far as the system permits."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
