"""The data sets that the project is measured on, where they are at hand."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from convergan.data.source import open_data_set
from convergan.data.splits import draw_split
from convergan.recipes.settings import DataSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

# Of t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, unpacked.
MNIST_TEST_IMAGES_MD5 = "2646ac647ad5339dbf082846283269ea"
MNIST_TEST_LABELS_MD5 = "27ae3e4e09519cfbb04c329615203637"


def rows_of(name: str) -> Path:
    file = SHARED / name / "test-00000-of-00001.parquet"
    if not file.exists():
        pytest.skip(f"needs {file}")
    return file


def test_mnist_is_that_of_lecun_to_the_last_bit(folder):
    (folder / "train-0.parquet").symlink_to(rows_of("mnist"))
    data = open_data_set(DataSettings(source="mnist", path=folder))
    assert data.train.images.shape == (10_000, 28, 28, 1)
    assert data.classes == tuple("0123456789")
    header = np.array([0x803, 10_000, 28, 28], dtype=">i4").tobytes()
    images = hashlib.md5(header + data.train.images.tobytes()).hexdigest()
    assert images == MNIST_TEST_IMAGES_MD5
    header = np.array([0x801, 10_000], dtype=">i4").tobytes()
    labels = hashlib.md5(header + data.train.labels.astype(np.uint8).tobytes()).hexdigest()
    assert labels == MNIST_TEST_LABELS_MD5
    split = draw_split(data, labels=100, seed=0)
    assert np.bincount(split.training.labels).tolist() == [8] * 10
    assert np.bincount(data.train.labels[split.held_out]).tolist() == [2] * 10


def test_cifar10(folder):
    rows = pq.read_table(rows_of("cifar10-jpeg"))
    pq.write_table(rows.slice(0, 300), folder / "train-0.parquet")
    pq.write_table(rows.slice(300, 100), folder / "test-0.parquet")
    data = open_data_set(DataSettings(source="cifar10", path=folder))
    assert data.train.images.shape == (300, 32, 32, 3)
    assert data.test is not None and data.test.images.shape == (100, 32, 32, 3)
    assert data.classes[:3] == ("airplane", "automobile", "bird")
