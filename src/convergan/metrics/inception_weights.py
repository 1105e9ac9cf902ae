"""Public weights of the Inception network: search, download, checksum and loading."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import torch

from convergan.errors import UserError, one_line, system_problem
from convergan.files import cache_folder, written_aside
from convergan.metrics.inception import InceptionNetwork
from convergan.paths import StrPath, as_path
from convergan.progress_bar import progress_bar

NAME = "weights-inception-2015-12-05-6726825d.pth"
ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAME}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the file; its first digits are in the name, as in torch's own caches."""

_SECONDS_WITHOUT_ANSWER = 30


def load_inception(weights: StrPath | None = None, *, progress: bool = False) -> InceptionNetwork:
    """Load the Inception network of 2015 with its public weights, on the CPU, in evaluation mode.

    Args:
        weights: file of the weights; None: the file in the cache, which is downloaded if it is missing.
        progress: show a progress bar of the download on the standard error.

    Returns:
        A module that takes uint8 [batch, 3, height, width], of any size, and returns `features` [batch, 2048]
        and `logits` [batch, 1008].

    Raises:
        UserError: the file does not exist, cannot be downloaded, or has another checksum.

    Example:
        >>> from convergan import InceptionScore, load_inception
        >>> score = InceptionScore(load_inception(), count=50_000)  # doctest: +SKIP
    """
    weights_file = None if weights is None else as_path(weights, "weights")
    with progress_bar("the network's weights", unit="bytes", quiet=not progress) as report:
        path = find_weights(weights_file, progress=report)
    if sha256(path) != SHA256:
        raise UserError(
            f"{path}: expected the weights with SHA-256 {SHA256}, got {sha256(path)}; {ADDRESS} has them"
        )
    network = InceptionNetwork()
    load_state(network, path)
    return network


def load_state(network: InceptionNetwork, path: Path) -> None:
    """Load a state dict with the names of the public conversion; nothing in the file is executed.

    Raises:
        UserError: the file contains something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise UserError(f"{path}: expected a state dict, got {type(state).__name__}")
    except UserError:
        raise
    except Exception as error:  # torch's unpickler for tensors raises many kinds
        raise UserError(
            f"{path}: expected a state dict of tensors, got {one_line(error)}"
        ) from None
    network.load_weights(state, origin=str(path))


def find_weights(
    weights: Path | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Find the file of the weights: `weights`, the file in the cache, or a download into the cache.

    A download of torch-fidelity or torchmetrics in torch's cache is used if there is one.

    Args:
        weights: path of the file; None: search the caches, then download.
        progress: called with the number of bytes downloaded and the total.

    Raises:
        UserError: `weights` is not a file, or the download failed.
    """
    if weights is not None:
        path = weights.expanduser()
        if not path.is_file():
            raise UserError(f"weights: expected the file {NAME}, got {path}, which is not a file")
        return path
    cached = cache_folder() / NAME
    for path in (cached, Path(torch.hub.get_dir()) / "checkpoints" / NAME):
        if path.is_file():
            return path
    _download(cached, progress)
    return cached


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(path: Path, progress: Callable[[int, int], None] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            urlopen(ADDRESS, timeout=_SECONDS_WITHOUT_ANSWER) as answer,
            written_aside(path) as partial_file,
        ):
            size = int(answer.headers.get("Content-Length", 0))
            with partial_file.open("wb") as file:
                counted = _Counted(file.write, size, progress)
                shutil.copyfileobj(answer, counted, 2**20)
            # A file with another checksum never gets the name.
            if sha256(partial_file) != SHA256:
                raise UserError(
                    f"{ADDRESS}: expected a file with SHA-256 {SHA256}, got {sha256(partial_file)}"
                )
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"weights: expected {NAME} at {path}, got none, and it cannot be downloaded from {ADDRESS}"
            f" ({system_problem(reason)}); download it elsewhere and name it with --weights"
        ) from None


class _Counted:
    """Writable file object that reports its progress."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        size: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._write, self._size, self._progress, self._done = write, size, progress, 0

    def write(self, content: bytes) -> None:
        self._write(content)
        self._done += len(content)
        if self._progress is not None:
            self._progress(self._done, max(self._size, self._done))
