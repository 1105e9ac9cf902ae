"""Files (.npz) of the mean and covariance of features, as pytorch-fid and clean-fid use them."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from convergan.errors import UserError, one_line, reading
from convergan.images.sizes import Sizes, sizes_as_array, sizes_of_array
from convergan.metrics.metric import GaussianStatistics
from convergan.outputs import binary_output


class StatisticsFile(NamedTuple):
    """Content of a file of statistics."""

    statistics: GaussianStatistics
    network: str | None
    """Name of the network; None if the file does not have it."""
    sizes: Sizes | None
    """Sizes of the images; None if the file does not have them."""


def write_statistics(
    path: Path, statistics: GaussianStatistics, network: str, sizes: Sizes | None = None
) -> None:
    """Write mu, sigma, count, network and sizes; pytorch-fid and clean-fid read the first two.

    Args:
        path: a .npz file, which is written whole or not at all; or a pipe.
        statistics: mean and covariance.
        network: name of the network, with the checksum of its weights.
        sizes: sizes of the images; None: not known.
    """
    with binary_output(path) as file:
        np.savez(
            file,
            mu=statistics.mean.numpy(),
            sigma=statistics.covariance.numpy(),
            count=np.array(statistics.count or 0),
            network=np.array(network),
            sizes=sizes_as_array(sizes),
        )


def read_statistics(path: Path) -> StatisticsFile:
    """Read statistics that `write_statistics`, pytorch-fid or clean-fid wrote; nothing in them is executed.

    Raises:
        UserError: the file is not a .npz of statistics.
    """
    with reading(path, "statistics as .npz"):
        with zipfile.ZipFile(path) as members:
            # Opening every member finds damage also in those that are not read below.
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
            sizes = sizes_of_array(str(path), content["sizes"]) if "sizes" in content else None
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
            raise UserError(f"{path}: expected finite numbers in {name}, got other values")
    statistics = GaussianStatistics(
        torch.from_numpy(mean.astype(np.float64)),
        torch.from_numpy(covariance.astype(np.float64)),
        count or None,
    )
    return StatisticsFile(statistics, network, sizes)


def is_statistics(path: Path) -> bool:
    """Test whether a file is a .npz with a mean and a covariance."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with reading(path, "a .npz"), zipfile.ZipFile(path) as content:
        return {"mu.npy", "sigma.npy"} <= set(content.namelist())
