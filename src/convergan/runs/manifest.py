"""Checks of results.json and manifest.json when they are read, for the values that other code needs."""

from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from convergan.errors import UserError, quoted

_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


@with_config(_STRICT)
class _Data(TypedDict):
    fingerprint: str


@with_config(_STRICT)
class _Manifest(TypedDict):
    data: _Data
    accelerator: str
    precision: str
    processes: int
    recipe_sha256: NotRequired[str]
    resumed: list[dict[str, Any]]


_MANIFEST = TypeAdapter(_Manifest)


def checked_manifest(path: Path, values: Any) -> dict[str, Any]:
    """The content of a manifest.json, checked; raises as `checked_results`."""
    return _checked(path, "the manifest of a run", values, _MANIFEST)


def _checked(path: Path, expected: str, values: Any, kind: TypeAdapter[Any]) -> dict[str, Any]:
    try:
        kind.validate_python(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        got = "" if problem["type"] == "missing" else f", got {quoted(problem['input'])}"
        raise UserError(
            f"{path}: expected {expected}, got another file or a damaged one "
            f"({place + ': ' if place else ''}{problem['msg']}{got})"
        ) from None
    return dict(values)
