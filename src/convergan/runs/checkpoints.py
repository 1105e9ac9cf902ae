"""Checkpoints: nested state in one safetensors file, without pickles, the newest two kept."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from convergan.errors import UserError
from convergan.files import remove_leftovers, written_aside

KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Writes `state` as step-<step>.safetensors and removes all but the newest two.

    `state` nests dictionaries with string or integer keys, lists, tensors and plain JSON values.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _take_tensors(state, "state", tensors)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    path = folder / f"step-{step:09d}.safetensors"
    with written_aside(path) as aside:
        save_file(tensors, aside, metadata={"skeleton": json.dumps(skeleton)})
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, or None where there is none at all.

    Raises:
        UserError: there are checkpoints, and none can be read.
    """
    problem = ""
    for path in _newest_first(folder):
        try:
            return path, _load(path)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            problem = problem or f"{path}: expected a checkpoint, got a damaged file ({error})"
    if problem:
        raise UserError(problem)
    return None


def drop_newest_checkpoint(folder: Path) -> None:
    """Removes the newest checkpoint, unless it is the only one."""
    newest, *others = _newest_first(folder)
    if others:
        newest.unlink()


def _load(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        skeleton = json.loads(file.metadata()["skeleton"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return _put_tensors(skeleton, tensors)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _take_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON with each tensor replaced by its name. Keys are kept as pairs: JSON knows no integer keys."""
    if isinstance(value, Tensor):
        # A copy: safetensors refuses tensors that share memory, as averaged and plain weights may.
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
