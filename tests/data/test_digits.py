import numpy as np
import pytest
from sklearn.datasets import load_digits

from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


def test_the_digits_are_scikit_learns_split_once_and_for_all():
    data = open_data_set(DataSettings(source="digits"))
    assert data.train.images.shape == (1297, 8, 8, 1)
    assert np.bincount(data.test.labels).tolist() == [50] * 10
    assert data.classes == tuple("0123456789")
    original = load_digits()
    rows = []
    for part in (data.train, data.test):
        for name, image, label in zip(part.names, part.images, part.labels, strict=True):
            row = int(name.removeprefix("digits row "))
            rows.append(row)
            assert label == original.target[row]
            assert np.abs(image[..., 0] * (16 / 255) - original.images[row]).max() < 0.04
    assert sorted(rows) == list(range(1797))
    assert (
        data.fingerprint == open_data_set(DataSettings(source="digits", split_seed=5)).fingerprint
    )
    # Written down, so that no change of NumPy moves the split unnoticed.
    assert rows[1297:1303] == [1, 5, 6, 9, 12, 14]


def test_digits_take_size_and_channels():
    data = open_data_set(DataSettings(source="digits", size_px=16, channels=3))
    assert data.test.images.shape == (500, 16, 16, 3)
    assert (data.test.images[..., 0] == data.test.images[..., 2]).all()


def test_digits_take_no_path(tmp_path):
    with pytest.raises(UserError, match=r"data\.path: expected none with the source digits"):
        open_data_set(DataSettings(source="digits", path=tmp_path))
