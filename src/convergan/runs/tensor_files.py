"""Tensors in safetensors files with a checksum, which shows damage."""

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
"""The one entry of a file's metadata: the library writes several in another order each time."""


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors, whole or not at all, with their SHA-256 in the file's metadata.

    Raises:
        UserError: they cannot be written, such as to a disk that is full; what was at `path` stays.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    file_metadata = dict(metadata or {})
    file_metadata[_SHA256] = tensors_sha256(on_cpu, file_metadata)
    try:
        with written_aside(path) as aside:
            text = json.dumps(file_metadata, sort_keys=True)
            save_file(on_cpu, aside, metadata={_METADATA: text})
    except (OSError, SafetensorError) as error:
        size = bytes_in_words(sum(tensor.nbytes for tensor in on_cpu.values()))
        raise UserError(f"{path}: expected to write {size}, got {system_problem(error)}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, on the CPU, and its metadata.

    The checksum is checked where there is one: convergan 0.1.0 wrote none.

    Raises:
        OSError: the file cannot be read.
        MemoryError: there is not enough of it.
        ValueError: it is damaged.
    """
    # The library takes whatever the system refuses for an absent file.
    path.open("rb").close()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _entries(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, MemoryError):
        raise
    except RuntimeError as error:
        # Torch's, of a file that the system does not open or map once more; damage is told by safetensors.
        raise OSError(one_line(error)) from error
    except Exception as error:
        raise ValueError(f"a damaged file ({one_line(error)})") from error
    written = metadata.pop(_SHA256, None)
    if written is not None and written != tensors_sha256(tensors, metadata):
        raise ValueError("a damaged file (its content does not fit its checksum)")
    return tensors, metadata


def _entries(of_file: Mapping[str, str]) -> dict[str, str]:
    """The metadata as `save_tensors` was given it; convergan 0.1.0 wrote it as it is."""
    if _METADATA not in of_file:
        return dict(of_file)
    entries: dict[str, str] = json.loads(of_file[_METADATA])
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
