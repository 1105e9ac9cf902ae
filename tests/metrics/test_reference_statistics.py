"""Statistics are written and read without loss, and those of other tools are read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from convergan.errors import UserError
from convergan.images.sizes import Sizes
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.reference_statistics import (
    is_statistics,
    read_statistics,
    write_statistics,
)


def test_written_statistics_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    statistics = gaussian_statistics(torch.randn(30, 5))
    write_statistics(path, statistics, "inception abc", Sizes((8, 6), (16, 16)))
    assert is_statistics(path)
    loaded, network, sizes = read_statistics(path)
    assert (loaded.count, network) == (30, "inception abc")
    assert sizes == Sizes((8, 6), (16, 16))
    assert torch.equal(loaded.mean, statistics.mean)
    assert torch.equal(loaded.covariance, statistics.covariance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files_of_pytorch_fid_and_clean_fid_are_read(dtype: type, tmp_path: Path) -> None:
    # Both save mu and sigma alone, pytorch-fid by savez_compressed, clean-fid by savez.
    mean, covariance = np.arange(4, dtype=dtype), np.eye(4, dtype=dtype)
    for save in (np.savez_compressed, np.savez):
        save(tmp_path / "b.npz", mu=mean, sigma=covariance)
        loaded, network, sizes = read_statistics(tmp_path / "b.npz")
        assert (loaded.count, network, sizes) == (None, None, None)
        assert loaded.mean.tolist() == [0, 1, 2, 3]
        assert loaded.covariance.dtype == torch.float64


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    for content, message in (
        ({"arr_0": np.zeros(3)}, "expected mu and sigma, got arr_0"),
        ({"mu": np.zeros(3), "sigma": np.zeros((2, 2))}, r"got \[3\] and \[2, 2\]"),
        ({"mu": np.array([np.nan]), "sigma": np.ones((1, 1))}, "finite numbers in mu"),
        ({"mu": np.array([{}]), "sigma": np.ones((1, 1))}, "expected statistics as .npz"),
    ):
        np.savez(path, **content)
        with pytest.raises(UserError, match=message):
            read_statistics(path)
    path.write_bytes(b"no zip")
    assert not is_statistics(path)
    with pytest.raises(UserError, match="expected statistics as"):
        read_statistics(path)


def test_a_damaged_list_of_members_is_noticed(tmp_path: Path) -> None:
    """The file is refused: reading it would lose the count in silence."""
    path = tmp_path / "a.npz"
    write_statistics(path, gaussian_statistics(torch.randn(30, 5)), "inception abc")
    content = path.read_bytes()
    place = content.rindex(b"count.npy")
    path.write_bytes(content[:place] + b"d" + content[place + 1 :])
    with pytest.raises(UserError, match=r"a\.npz: expected statistics as \.npz, got File name in"):
        read_statistics(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_statistics_are_one_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.npz"
    write_statistics(path, gaussian_statistics(torch.randn(30, 5)), "inception abc")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=r"a\.npz: expected statistics as \.npz, got "):
        read_statistics(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": np.array([1, 2])},
        {"count": np.array(-3)},
        {"mu": np.array(["a"])},
        {"sizes": np.array([8, 8])},
        {"sizes": np.array([[8, 8], [0, 8]])},
        {"sizes": np.full((2, 2), 8.5)},
    ],
)
def test_members_of_other_kinds_are_one_line(tmp_path: Path, changes: dict) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{"mu": np.zeros(1), "sigma": np.eye(1), "count": np.array(3), **changes})
    with pytest.raises(UserError, match=r"a\.npz: expected "):
        read_statistics(path)
