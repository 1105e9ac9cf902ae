"""Parquet files as the hub keeps images."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image


def write_parquet(file: Path, images: np.ndarray, labels: np.ndarray, column: str) -> None:
    """Images [n, height, width, channels] as PNG files in a column, and their labels."""
    cells = [{"bytes": png(pixels), "path": None} for pixels in images]
    pyarrow.parquet.write_table(pa.table({column: cells, "label": labels}), file)


def png(pixels: np.ndarray) -> bytes:
    """An image [height, width, channels] as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()
