"""What the tests of benchmarks share: a small data set in parquet files."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from convergan.data.source import open_data_set
from convergan.recipes.settings import DataSettings


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits as the hub keeps MNIST."""
    folder = tmp_path_factory.mktemp("digits")
    data = open_data_set(DataSettings(source="digits"))
    assert data.test is not None
    for split, images in (("train", data.train), ("test", data.test)):
        cells = [{"bytes": png(pixels), "path": None} for pixels in images.images]
        table = pa.table({"image": cells, "label": images.labels})
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def png(pixels: np.ndarray) -> bytes:
    """A grey image [height, width, 1] as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, format="PNG")
    return buffer.getvalue()
