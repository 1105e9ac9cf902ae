"""The server of a study: several processes that share nothing but the database."""

import os
from pathlib import Path
from typing import Any

import uvicorn

from convergan.study.keys import read_key_file
from convergan.study.opening import open_study
from convergan.study.web.app import KEY_FILE, STUDY

SERVER_OPTIONS: dict[str, Any] = {
    # Addresses hold the identifiers of those who come.
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    # Longer than people think about an image.
    "timeout_keep_alive": 75,
}


def serve(study: str, key_file: Path, *, host: str, port: int, workers: int) -> None:
    """Serves a study until it is stopped. There is no log of requests.

    Args:
        study: as for `open_study`.
        key_file: the study's secrets.
        host: the address to listen on.
        port: likewise.
        workers: processes.

    Raises:
        UserError: no study, or no keys of it.
    """
    open_study(study).close()
    read_key_file(key_file)
    os.environ |= {STUDY: study, KEY_FILE: str(key_file)}
    uvicorn.run(
        "convergan.study.web.app:app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        **SERVER_OPTIONS,
    )
