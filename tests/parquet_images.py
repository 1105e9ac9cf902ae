"""Parquet files as the hub keeps images."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from drawn_images import png_bytes


def write_parquet(file: Path, images: np.ndarray, labels: np.ndarray, column: str) -> None:
    """Images [n, height, width, channels] as PNG files in a column, and their labels."""
    if images.shape[3] == 1:
        images = images[..., 0]
    cells = [{"bytes": png_bytes(image), "path": None} for image in images]
    pyarrow.parquet.write_table(pa.table({column: cells, "label": labels}), file)
