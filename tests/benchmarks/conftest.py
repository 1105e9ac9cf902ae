"""What the tests of benchmarks share: a small data set in parquet files."""

from pathlib import Path

import pytest

from convergan.data.source import open_data_set
from convergan.recipes.settings import DataSettings
from parquet_images import write_parquet


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits as the hub keeps MNIST."""
    folder = tmp_path_factory.mktemp("digits")
    data = open_data_set(DataSettings(source="digits"))
    assert data.test is not None
    for split, images in (("train", data.train), ("test", data.test)):
        file = folder / f"{split}-00000-of-00001.parquet"
        write_parquet(file, images.images, images.labels, "image")
    return folder
