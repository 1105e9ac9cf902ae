"""Tensors in safetensors files, with a checksum that reveals damage."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from convergan.errors import UserError, one_line, system_problem
from convergan.files import written_aside
from convergan.units import bytes_in_words

_SHA256 = "sha256"

_METADATA = "convergan"
"""Name of the only entry of a file's metadata: the library writes several in a random order."""


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors, whole or not at all, with their SHA-256 in the file's metadata.

    Raises:
        UserError: they cannot be written, such as to a full disk; a file that was at `path` stays.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    file_metadata = dict(metadata or {})
    file_metadata[_SHA256] = tensors_sha256(on_cpu, file_metadata)
    try:
        with written_aside(path) as temporary:
            text = json.dumps(file_metadata, sort_keys=True)
            save_file(on_cpu, temporary, metadata={_METADATA: text})
    except (OSError, SafetensorError) as error:
        size = bytes_in_words(sum(tensor.nbytes for tensor in on_cpu.values()))
        raise UserError(f"{path}: expected to write {size}, got {system_problem(error)}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Load the tensors of a file, on the CPU, and its metadata.

    The checksum is checked where there is one: convergan 0.1.0 wrote none.

    Raises:
        OSError: the file cannot be read.
        MemoryError: there is not enough memory.
        ValueError: the file is damaged.
    """
    # The library reports whatever the system refuses as an absent file.
    path.open("rb").close()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _entries(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, MemoryError):
        raise
    except RuntimeError as error:
        # From torch, for a file that the system does not open or map again; safetensors reports damage.
        raise OSError(one_line(error)) from error
    except Exception as error:
        raise ValueError(f"a damaged file ({one_line(error)})") from error
    checksum = metadata.pop(_SHA256, None)
    if checksum is not None and checksum != tensors_sha256(tensors, metadata):
        raise ValueError("a damaged file (its content does not fit its checksum)")
    return tensors, metadata


def _entries(file_metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata that was passed to `save_tensors`; convergan 0.1.0 wrote it without a wrapping entry."""
    if _METADATA not in file_metadata:
        return dict(file_metadata)
    entries: dict[str, str] = json.loads(file_metadata[_METADATA])
    if not all(isinstance(value, str) for value in entries.values()):
        raise TypeError("expected text in the metadata, got something else")
    return entries


def tensors_sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """SHA-256 of the names, types, shapes and bytes of tensors on the CPU, and of the metadata."""
    digest = hashlib.sha256(json.dumps(dict(metadata or {}), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
