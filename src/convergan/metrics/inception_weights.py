"""The public weights of the Inception network: found, downloaded, checked, loaded."""

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
"""Of the file; as torch's own caches do, its name carries the first digits."""

_SECONDS_WITHOUT_ANSWER = 30


def load_inception(weights: StrPath | None = None, *, progress: bool = False) -> InceptionNetwork:
    """The Inception network of 2015 with its public weights, on the CPU, in evaluation mode.

    Args:
        weights: their file, or None for the one in the cache, which is downloaded where there is none.
        progress: show a progress bar of the download on the standard error.

    Returns:
        A module from uint8 [batch, 3, height, width], of any size, to `features` [batch, 2048] and `logits`
        [batch, 1008].

    Raises:
        UserError: there is no such file and it cannot be downloaded, or it is another file.

    Example:
        >>> from convergan import InceptionScore, load_inception
        >>> score = InceptionScore(load_inception(), count=50_000)  # doctest: +SKIP
    """
    given = None if weights is None else as_path(weights, "weights")
    with progress_bar("the network's weights", unit="bytes", quiet=not progress) as told:
        path = find_weights(given, progress=told)
    if sha256(path) != SHA256:
        raise UserError(
            f"{path}: expected the weights with SHA-256 {SHA256}, got {sha256(path)}; {ADDRESS} has them"
        )
    network = InceptionNetwork()
    load_state(network, path)
    return network


def load_state(network: InceptionNetwork, path: Path) -> None:
    """Loads a state dict of the public conversion's names; nothing in the file is executed.

    Raises:
        UserError: the file holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise UserError(f"{path}: expected a state dict, got {type(state).__name__}")
    except UserError:
        raise
    except Exception as error:  # its unpickler, which knows tensors alone, raises much else
        raise UserError(
            f"{path}: expected a state dict of tensors, got {one_line(error)}"
        ) from None
    network.load_weights(state, origin=str(path))


def find_weights(
    weights: Path | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """The file of the weights: the one given, the one in the cache, or, into the cache, a download.

    torch-fidelity's and torchmetrics' own download, in torch's cache, is used where it is there.
    """
    if weights is not None:
        path = weights.expanduser()
        if not path.is_file():
            raise UserError(f"weights: expected the file {NAME}, got {path}, which is not a file")
        return path
    ours = cache_folder() / NAME
    for path in (ours, Path(torch.hub.get_dir()) / "checkpoints" / NAME):
        if path.is_file():
            return path
    _download(ours, progress)
    return ours


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(path: Path, progress: Callable[[int, int], None] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            urlopen(ADDRESS, timeout=_SECONDS_WITHOUT_ANSWER) as answer,
            written_aside(path) as aside,
        ):
            size = int(answer.headers.get("Content-Length", 0))
            with aside.open("wb") as file:
                counted = _Counted(file.write, size, progress)
                shutil.copyfileobj(answer, counted, 2**20)
            # Written aside: what is not the file that it should be never gets its name.
            if sha256(aside) != SHA256:
                raise UserError(
                    f"{ADDRESS}: expected a file with SHA-256 {SHA256}, got {sha256(aside)}"
                )
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"weights: expected {NAME} at {path}, got none, and it cannot be downloaded from {ADDRESS}"
            f" ({system_problem(reason)}); download it elsewhere and name it with --weights"
        ) from None


class _Counted:
    """A file to write to that tells how far it is."""

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
