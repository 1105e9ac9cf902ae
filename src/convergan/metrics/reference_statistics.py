"""Means and covariances of features as .npz files, as pytorch-fid and clean-fid keep them."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from convergan.errors import UserError, one_line, reading
from convergan.metrics.metric import GaussianStatistics
from convergan.outputs import binary_output


def write_statistics(path: Path, statistics: GaussianStatistics, network: str) -> None:
    """Writes mu, sigma, count and the network's fingerprint; pytorch-fid and clean-fid read the first two.

    Args:
        path: a .npz file, whole or not at all; or a pipe.
        statistics: what to write.
        network: of which network, with the checksum of its weights.
    """
    with binary_output(path) as file:
        np.savez(
            file,
            mu=statistics.mean.numpy(),
            sigma=statistics.covariance.numpy(),
            count=np.array(statistics.count or 0),
            network=np.array(network),
        )


def read_statistics(path: Path) -> tuple[GaussianStatistics, str | None]:
    """Reads our files and those of pytorch-fid and clean-fid, and the network where it is noted.

    Raises:
        UserError: the file is no such .npz; nothing in it is executed.
    """
    with reading(path, "statistics as .npz"):
        with zipfile.ZipFile(path) as members:
            # Notices a damaged list of members: one that is not asked for by name would go unnoticed.
            for member in members.infolist():
                members.open(member).close()
        with np.load(path, allow_pickle=False) as content:
            missing = {"mu", "sigma"} - set(content.files)
            if missing:
                raise UserError(
                    f"{path}: expected mu and sigma, got {one_line(', '.join(content.files) or 'nothing')}"
                )
            mean, covariance = (np.asarray(content[name]) for name in ("mu", "sigma"))
            count = int(content["count"]) if "count" in content else 0
            network = str(content["network"]) if "network" in content else None
        if count < 0:
            raise UserError(f"{path}: expected a count of images, got {count}")
    features = mean.shape[0] if mean.ndim == 1 else None
    if features is None or covariance.shape != (features, features):
        raise UserError(
            f"{path}: expected mu [d] and sigma [d, d], got {list(mean.shape)} and "
            f"{list(covariance.shape)}"
        )
    for name, array in (("mu", mean), ("sigma", covariance)):
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise UserError(f"{path}: expected finite numbers in {name}, got others")
    statistics = GaussianStatistics(
        torch.from_numpy(mean.astype(np.float64)),
        torch.from_numpy(covariance.astype(np.float64)),
        count or None,
    )
    return statistics, network


def is_statistics(path: Path) -> bool:
    """Whether a file is such a .npz, and not one of images."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return {"mu.npy", "sigma.npy"} <= set(content.namelist())
