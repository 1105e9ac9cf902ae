"""Real image files to open, and a cache of the test's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CONVERGAN_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


@pytest.fixture
def write_image() -> Callable[..., np.ndarray]:
    """Write an image file of random pixels and return them, [height, width] or [..., channels]."""

    def write(
        path: Path, *, seed: int = 0, width: int = 8, height: int = 8, mode: str = "RGB"
    ) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (height, width) if mode == "L" else (height, width, len(mode))
        values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(values, mode).save(path)
        return values

    return write
