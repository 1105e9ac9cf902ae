"""Options for some kinds of images apply to these kinds, and are errors where no image is of such a kind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from convergan.errors import UserError
from drawn_images import png_bytes
from scored import QUICK, scored, value


@pytest.fixture
def kinds(tmp_path: Path, digits: np.ndarray) -> dict[str, Path]:
    """The same digits as floats, as PNG files, and as parquet files with and without splits."""
    names = ("floats.npy", "files", "splits", "table")
    paths = {name: tmp_path / name for name in names}
    np.save(paths["floats.npy"], digits[:60].astype(np.float32) / 255)
    for name in names[1:]:
        paths[name].mkdir()
    for number, image in enumerate(digits[:60]):
        Image.fromarray(image[:, :, 0]).save(paths["files"] / f"{number:02d}.png")
    cells = [{"bytes": png_bytes(image[:, :, 0]), "path": None} for image in digits[:60]]
    for path, column in (
        (paths["splits"] / "train-0.parquet", cells[:20]),
        (paths["splits"] / "test-0.parquet", cells),
        (paths["table"] / "images.parquet", cells),
    ):
        pa.parquet.write_table(pa.table({"image": column}), path)
    return paths


def test_a_range_is_of_floats_alone(
    trained_run: Path, arrays: dict[str, Path], kinds: dict[str, Path], tmp_path: Path
) -> None:
    settings, path = replace(QUICK, pixel_range=(0.0, 1.0)), tmp_path / "a.json"
    floats, uint8 = kinds["floats.npy"], arrays["some"]
    for images, reference in ((floats, kinds["files"]), (uint8, floats), (floats, uint8)):
        scores = scored(trained_run, images, settings, reference=reference, json=path)
        assert value(scores, "precision") == value(scores, "coverage") == 1
        content = json.loads(path.read_text())
        for name, place in (("images", images), ("reference", reference)):
            assert content[name]["pixel_range"] == ([0, 1] if place == floats else None)
    with pytest.raises(
        UserError, match=r"pixel_range: expected floats .*, got none in .*some\.npy"
    ):
        scored(trained_run, uint8, settings, reference=kinds["files"])


def test_a_split_is_of_parquet_files_that_name_theirs(
    trained_run: Path, kinds: dict[str, Path], tmp_path: Path
) -> None:
    settings, path = replace(QUICK, split="test"), tmp_path / "a.json"
    for images in ("files", "table"):
        scores = scored(trained_run, kinds[images], settings, reference=kinds["splits"], json=path)
        assert value(scores, "precision") == value(scores, "coverage") == 1
        content = json.loads(path.read_text())
        assert [content[name]["split"] for name in ("images", "reference")] == [None, "test"]
    with pytest.raises(UserError, match=r"split: expected parquet files .*, got none in .*table"):
        scored(trained_run, kinds["table"], settings)


def test_the_draw_of_a_run_is_told(trained_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    scored(trained_run, trained_run, replace(QUICK, seed=3), json=path)
    content = json.loads(path.read_text())
    assert content["images"]["seed"] == content["seed"] == 3
