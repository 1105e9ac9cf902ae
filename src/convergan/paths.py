"""Paths as people write them in Python: text, or any of the standard library's kinds."""

import os
from pathlib import Path
from typing import Any

from convergan.errors import UserError, is_utf8, quoted

StrPath = str | os.PathLike[str]
"""A path, as text or as one of `pathlib`."""


def as_path(value: Any, name: str) -> Path:
    """The path that an argument holds.

    Args:
        value: text in UTF-8, or an `os.PathLike` of such text; `~` stays as it is.
        name: the argument's, for the error.

    Raises:
        UserError: `<name>: expected a path, got <value>`, such as for bytes, None or an empty text.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text or not is_utf8(text):
        raise UserError(f"{name}: expected a path, got {quoted(value)}")
    return Path(text)
