"""Options for some kinds of images apply to these kinds, and are errors where no image is of such a kind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from convergan import ScoreSettings, score
from convergan.errors import UserError
from drawn_images import png_bytes
from scored import DRAW_SETTINGS, QUICK, scored, value


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
    scored(trained_run, trained_run, replace(DRAW_SETTINGS, seed=3), json=path)
    content = json.loads(path.read_text())
    assert content["images"]["seed"] == content["seed"] == 3


def test_the_count_is_of_the_first_images_that_are_scored(
    trained_run: Path, kinds: dict[str, Path], digits: np.ndarray, tmp_path: Path
) -> None:
    """Files, folders and saved features are cut alike; the reference is used whole."""
    features, path = tmp_path / "features.npz", tmp_path / "a.json"
    reference = tmp_path / "reference.npy"
    np.save(reference, digits[60:])
    scored(trained_run, kinds["files"], save_features=features)
    expected = score(
        digits[:20], classifier=trained_run, reference=digits[60:], settings=ScoreSettings()
    )
    for images in (*(kinds[name] for name in ("files", "table")), features):
        settings = ScoreSettings(count=20)
        scores = scored(trained_run, images, settings, reference=reference, json=path)
        assert scores.numbers.keys() == expected.numbers.keys()
        for name, number in expected.numbers.items():
            assert value(scores, name) == pytest.approx(number.value, rel=1e-4, abs=1e-6)
        content = json.loads(path.read_text())
        assert [content[name]["count"] for name in ("images", "reference")] == [20, 60]
    first_features = tmp_path / "again.npz"
    scored(trained_run, features, ScoreSettings(count=20), save_features=first_features)
    with np.load(features) as all_members, np.load(first_features) as members:
        np.testing.assert_array_equal(members["features"], all_members["features"][:20])
        # The checksum of all images is none of these.
        assert str(members["sha256"]) != str(all_members["sha256"])
    with pytest.raises(UserError, match=r"count: expected at most 60, the number .*files, got 61"):
        scored(trained_run, kinds["files"], ScoreSettings(count=61))
    files = {"versus": features}
    with pytest.raises(UserError, match=r"count: expected at most 20, .*again\.npz, got 30"):
        scored(trained_run, first_features, ScoreSettings(count=30), **files)
    assert scored(trained_run, first_features, ScoreSettings(count=20), **files).comparisons


def test_the_first_images_of_class_folders_are_told_of(
    trained_run: Path, digits: np.ndarray, tmp_path: Path
) -> None:
    for number, image in enumerate(digits[:40]):
        (tmp_path / f"class-{number // 10}").mkdir(exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"class-{number // 10}" / f"{number}.png")
    for count, warned in ((15, True), (40, False)):
        scores = scored(trained_run, tmp_path, ScoreSettings(count=count))
        message = "images: the first 15 of 40 images are from 2 of 4 folders"
        assert (message in [note.message for note in scores.notes]) == warned
        assert len(scores.images.images) == count
