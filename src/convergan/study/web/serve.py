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
from convergan.study.web.app import KEY_FILE, ROOT, STUDY
from convergan.study.web.protocol import Prompt

LOOPBACK = "127.0.0.1,::1"
"""Proxies on this machine."""

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")

SERVER_OPTIONS: dict[str, Any] = {
    "http": Prompt,
    # Addresses hold the identifiers of those who come.
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    # Longer than people think about an image.
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 10,
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
    database, keys = open_with_keys(study, key_file)
    database.close()
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


def trusted_proxies(text: str) -> str:
    """Addresses and networks with commas, or `*` for all, as the server takes them.

    Raises:
        UserError: something else.
    """
    for each in text.split(","):
        try:
            if each.strip() != "*":
                ipaddress.ip_network(each.strip())
        except ValueError:
            raise UserError(
                "trusted-proxies: expected addresses or networks such as 10.0.0.0/8 with commas, or *, got"
                f" {shortened(text)}"
            ) from None
    return text


def root_path(text: str) -> str:
    """A path to serve under, without a slash at its end.

    Raises:
        UserError: something else.
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
    """Serves a study until it is stopped. There is no log of requests.

    Args:
        study: as for `open_study`.
        key_file: the study's secrets.
        host: the address to listen on.
        port: likewise, which `ready_to_serve` has found free.
        workers: processes.
        root: as `root_path` gives it.
        proxies: as `trusted_proxies` gives them: who may say, in X-Forwarded-For and X-Forwarded-Proto,
            which address a visitor has, and that it is https.
    """
    os.environ |= {STUDY: study, KEY_FILE: str(key_file), ROOT: root}
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
    """Allows this process and its workers as many connections as the system has; often it is 1,024."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
