"""Checks of results.json and manifest.json when they are read, for the values that other code needs."""

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from convergan.errors import UserError, quoted

_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Interval = Annotated[list[_Share], Field(min_length=2, max_length=2)]


@with_config(_STRICT)
class _Results(TypedDict):
    """Results of every run; a run without labels has no others."""

    recipe: str
    labels: _Count
    seed: int
    epochs: Annotated[int, Field(ge=1)]
    train_seconds: _Seconds
    seconds_per_epoch: _Seconds
    device: str
    precision: str


@with_config(_STRICT)
class _Tested(_Results):
    """Results of a run that was tested."""

    folds: NotRequired[_Count]
    test_size: Annotated[int, Field(ge=1)]
    test_errors: _Count
    test_error_rate: _Share
    test_interval: _Interval
    baseline_test_errors: None


@with_config(_STRICT)
class _Compared(_Tested):
    """Results of a run that was tested beside a baseline."""

    baseline_test_errors: _Count  # type: ignore[misc]
    baseline_test_error_rate: _Share
    baseline_test_interval: _Interval
    decision: Literal["helped", "hurt", "undecided"]
    p_value: _Share


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


_RESULTS, _TESTED, _COMPARED = TypeAdapter(_Results), TypeAdapter(_Tested), TypeAdapter(_Compared)
_MANIFEST = TypeAdapter(_Manifest)


def checked_results(path: Path, values: Any) -> dict[str, Any]:
    """The content of a results.json, checked against docs/run-folder.md.

    Raises:
        UserError: a value that is needed is missing or of another kind; the line names `path`.
    """
    kind: TypeAdapter[Any] = _RESULTS
    if isinstance(values, dict) and "test_errors" in values:
        kind = _TESTED if values.get("baseline_test_errors") is None else _COMPARED
    return _checked(path, "the results of a run", values, kind)


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
