"""Provenance of a result, beside its settings: versions, commit, device, command."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

DIRTY = "-dirty"
"""End of a commit whose files were changed, and not committed, when they were used."""

_PACKAGES = ("convergan", "torch", "numpy", "pyarrow", "pillow")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def git_commit(*, excluded: str | None = None) -> str | None:
    """The commit of the checkout that this package runs from, `-dirty` if changed; None elsewhere.

    Args:
        excluded: folder of the checkout in which changes do not count.
    """
    package = Path(__file__).resolve().parents[1]
    try:
        top = _git(package, "rev-parse", "--show-toplevel")
        # An installed copy may lie inside another project's checkout.
        if Path(top).resolve() / "src" / "convergan" != package:
            return None
        commit = _git(package, "rev-parse", "HEAD")
        places = [":(top)", *([f":(top,exclude){excluded}"] if excluded else [])]
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", *places)
        return commit + DIRTY if changed else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def short_commit(commit: str) -> str:
    """The first seven digits of a commit, with the `-dirty` of one whose files had been changed."""
    return commit[:7] + commit[40:]


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    # In a hook of another repository's git, say, they name that one.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return os.fsdecode(done.stdout).strip()


def device_name(device: torch.device) -> str:
    """The device in words: `cpu, 2 threads`, or the GPU's own name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    return device.type


def command_line() -> str:
    """The command that this process was started with."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
