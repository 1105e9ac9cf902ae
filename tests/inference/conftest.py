"""Real digits, as files to score."""

from pathlib import Path

import numpy as np
import pytest

from convergan.data.source import open_data_set
from convergan.recipes.presets import PRESETS


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    return np.asarray(data.test.images[:120])


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory, digits: np.ndarray) -> dict[str, Path]:
    """Some digits, others, and the first with the pixels of each image at random places."""
    folder = tmp_path_factory.mktemp("arrays")
    generator = np.random.default_rng(0)
    permuted = generator.permuted(digits[:60].reshape(60, -1), axis=1).reshape(60, 8, 8, 1)
    paths = {}
    for name, images in (
        ("some", digits[:60]),
        ("others", digits[60:]),
        ("permuted", permuted),
        ("more", digits[:61]),
    ):
        paths[name] = folder / f"{name}.npy"
        np.save(paths[name], images)
    return paths
