"""Checkpoints: nested state in one safetensors file, without pickles, the newest two kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from convergan.errors import UserError, one_line, reading
from convergan.files import make_folder
from convergan.runs.tensor_files import load_tensors, save_tensors

CHECKPOINTS_KEPT = 2

_SET_ASIDE = "unusable-"


class UnusableCheckpoint(UserError):
    """Error: a checkpoint is damaged or of another run, not only unreadable at the moment."""


class Unusable(NamedTuple):
    """A checkpoint that cannot be used."""

    path: Path
    problem: str
    """Description of the problem, in one line that names the file."""


class Checkpoint(NamedTuple):
    """The newest usable checkpoint."""

    path: Path
    state: dict[str, Any]
    passed_over: tuple[Unusable, ...] = ()
    """Newer checkpoints, which cannot be used."""


def save_checkpoint(
    folder: Path, step: int, state: dict[str, Any], origin: Mapping[str, str] | None = None
) -> Path:
    """Write `state` as step-<step>.safetensors and remove all but the newest two.

    Args:
        folder: folder of the checkpoints, made if it does not exist.
        step: number of steps done.
        state: nested dictionaries with string or integer keys, lists, tensors and plain JSON values.
        origin: properties of the run that the state belongs to, by kind, such as `{"recipe": <its hash>}`.

    Raises:
        UserError: it cannot be written, such as to a full disk; the older checkpoints are still there.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _take_tensors(state, "state", tensors)
    make_folder(folder)
    path = folder / f"step-{step:09d}.safetensors"
    metadata = {
        "skeleton": json.dumps(skeleton),
        "origin": json.dumps(dict(origin or {}), sort_keys=True),
    }
    save_tensors(path, tensors, metadata)
    for old in _newest_first(folder)[CHECKPOINTS_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_newest_checkpoint(
    folder: Path, origin: Mapping[str, str] | None = None
) -> Checkpoint | None:
    """Load the newest complete checkpoint of this origin, or None where there is no checkpoint at all.

    Raises:
        UserError: there are checkpoints, and none can be used; or one that may be valid cannot be read now.
    """
    passed_over: list[Unusable] = []
    for path in _newest_first(folder):
        try:
            return Checkpoint(path, load_checkpoint(path, origin), tuple(passed_over))
        except UnusableCheckpoint as error:
            passed_over.append(Unusable(path, str(error)))
    if passed_over:
        older = "; the older one cannot be used either" if len(passed_over) > 1 else ""
        raise UserError(f"{passed_over[0].problem}{older}")
    return None


def load_checkpoint(path: Path, origin: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Load the state that `save_checkpoint` wrote.

    Raises:
        UnusableCheckpoint: the file is damaged, or of another origin. Properties that a file lacks, as files
            of convergan 0.1.0 do, are taken to match.
        UserError: it cannot be read now: the system refuses, or memory is short.
    """
    with reading(path, "a checkpoint"):
        try:
            tensors, metadata = load_tensors(path)
            if "skeleton" not in metadata:
                raise ValueError("other tensors")
            saved_origin = dict(json.loads(metadata.get("origin", "{}")))
            state = _put_tensors(json.loads(metadata["skeleton"]), tensors)
            if not isinstance(state, dict):
                raise ValueError("a single value")
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise UnusableCheckpoint(
                f"{path}: expected a checkpoint, got {one_line(error)}"
            ) from error
    for kind, expected in (origin or {}).items():
        if saved_origin.get(kind, expected) != expected:
            raise UnusableCheckpoint(
                f"{path}: expected a checkpoint of this run, got one of another {kind}"
            )
    return state


def set_aside(path: Path) -> Path:
    """Rename a checkpoint so that it is ignored from then on; return its new path."""
    new_path = path.with_name(f"{_SET_ASIDE}{path.name}")
    path.replace(new_path)
    return new_path


def has_checkpoint(folder: Path) -> bool:
    """True if there is a checkpoint, usable or not."""
    return bool(_newest_first(folder))


def checkpoint_steps(folder: Path) -> list[int]:
    """Number of steps done at each checkpoint, usable or not, the newest first."""
    return [int(path.stem.removeprefix("step-")) for path in _newest_first(folder)]


def drop_newest_checkpoint(folder: Path) -> None:
    """Remove the newest checkpoint, unless it is the only one."""
    newest, *older = _newest_first(folder)
    if older:
        newest.unlink()


def _newest_first(folder: Path) -> list[Path]:
    try:
        # Not `glob`: for what the system refuses, it finds nothing.
        return sorted(
            (path for path in folder.iterdir() if path.match("step-*.safetensors")), reverse=True
        )
    except FileNotFoundError:
        return []


def _take_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON with each tensor replaced by its name, and dictionaries by pairs: JSON has no integer keys."""
    if isinstance(value, Tensor):
        # A copy: safetensors refuses tensors that share memory, as EMA and plain weights may.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {
            "items": [
                [key, _take_tensors(entry, f"{name}.{key}", tensors)]
                for key, entry in value.items()
            ]
        }
    if isinstance(value, (list, tuple)):
        entries = enumerate(value)
        return [_take_tensors(entry, f"{name}.{index}", tensors) for index, entry in entries]
    return value


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_tensors(entry, tensors) for entry in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _put_tensors(entry, tensors) for key, entry in value["items"]}
    return value
