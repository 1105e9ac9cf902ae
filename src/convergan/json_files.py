"""JSON: numbers that are not finite as null, files whole or not at all, and checks of what is read."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from convergan.errors import UserError, one_line, quoted, reading
from convergan.files import write_text

ValueT = TypeVar("ValueT")

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u(?P<lone>[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in a string: of a pair of surrogates, of a lone one, or another."""


def json_values(value: Any) -> Any:
    """The value as JSON can hold it: dictionaries, lists, text, numbers, true, false and None.

    Dataclasses become dictionaries of their fields, tuples lists, NumPy's and torch's numbers and arrays
    plain ones. NaN and infinity, which JSON has not, become None.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        # Not one of NumPy's, which is a float as well.
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: json_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    return json_values(value.tolist()) if hasattr(value, "tolist") else value


def json_text(value: Any) -> str:
    """Indented JSON of what `json_values` takes, with a line end; a list of numbers stands on one line.

    Raises:
        TypeError: a value is of a kind that JSON has not, such as a set.
    """
    return _indented(json_values(value), "\n") + "\n"


def spread_json_text(value: Any) -> str:
    """JSON as of `json_text`, but with a line for each number of a list, and without escapes of characters
    outside ASCII.
    """
    return json.dumps(json_values(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def json_line(value: Any) -> str:
    """JSON of what `json_values` takes, on one line without its end."""
    return json.dumps(json_values(value), allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write `json_text`, whole or not at all."""
    write_text(path, json_text(value))


def read_json(path: Path) -> Any:
    """The value in a file of JSON.

    Raises:
        UserError: the file is missing, or holds anything but JSON, such as NaN.
    """
    with reading(path, "JSON"):
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)


def parse_json_as(text: bytes, kind: TypeAdapter[ValueT]) -> ValueT:
    r"""The value in a text of JSON, checked strictly.

    Bytes of a file's name that are not UTF-8, in the file as lone surrogates, are read as escapes:
    in place of the character U+DCFF stand the six of `\udcff`.

    Raises:
        ValidationError: it is not JSON, or a value is missing or of another type.
    """
    return kind.validate_json(_ESCAPE.sub(_without_lone_surrogate, text), strict=True)


def read_json_as(path: Path, kind: TypeAdapter[ValueT], expected: str) -> ValueT:
    """The value in a file of JSON, checked strictly: no text is taken for a number.

    Args:
        path: the file.
        kind: the type of the value; of a dataclass, keys that are none of its fields are ignored.
        expected: what the file should hold, for the error, such as "the results of a run".

    Raises:
        UserError: the file is missing or damaged, or a value is missing or of another type; the line names
            the file, and the value by its keys.
    """
    with reading(path, expected):
        text = path.read_bytes()
        try:
            return parse_json_as(text, kind)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
    place = "".join(f"{part}." for part in problem["loc"]).rstrip(".")
    reason = one_line(f"{place}: {problem['msg']}" if place else problem["msg"])
    if problem["type"] not in ("missing", "json_invalid"):
        reason += f", got {quoted(problem['input'])}"
    raise UserError(f"{path}: expected {expected}, got another file or a damaged one ({reason})")


def _without_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    return rb"\\" + escape[0][1:] if escape["lone"] else escape[0]


def _indented(value: Any, line_end: str) -> str:
    inner = f"{line_end}  "
    if isinstance(value, dict) and value:
        entries = (
            f"{json.dumps(str(key))}: {_indented(entry, inner)}" for key, entry in value.items()
        )
        return f"{{{inner}{f',{inner}'.join(entries)}{line_end}}}"
    if isinstance(value, list) and any(isinstance(entry, dict | list | str) for entry in value):
        entries = (_indented(entry, inner) for entry in value)
        return f"[{inner}{f',{inner}'.join(entries)}{line_end}]"
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _refuse(name: str) -> None:
    raise ValueError(f"{name}, which is not a JSON number")
