"""Names that cannot be written as UTF-8 are refused before an image is decoded."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from convergan.data.image_set import data_set_from_arrays
from convergan.data.image_stream import open_image_stream
from convergan.data.parquet import find_parquet
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.images.read_images import find_images
from convergan.recipes.settings import DataSettings
from drawn_images import png_bytes


@pytest.fixture(autouse=True)
def undecoded(monkeypatch):
    monkeypatch.setattr("convergan.data.store_writer.decode_in_order", None)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (b"cats/\xff.png", r"cats/\\udcff\.png"),
        (b"c\xe4ts/1.png", r"c\\udce4ts/1\.png"),
        (b"test/dogs/\xff\n.png", r"test/dogs/\\udcff\\n\.png"),
    ],
)
def test_files_of_such_names_are_refused(folder, write_image, name, pattern):
    for usual in ("cats/1.png", "dogs/1.png", "cats/gr\u00fcn.png"):
        write_image(folder / usual)
    file = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    os.link(folder / "cats" / "1.png", file)
    for opening in (find_images, lambda path: open_data_set(DataSettings(path=path))):
        with pytest.raises(
            UserError,
            match=rf"^{pattern}: expected the name of a file in UTF-8, got bytes that are not",
        ) as caught:
            opening(folder)
        assert str(caught.value).isprintable()


def test_other_files_of_such_names_are_passed_over(folder, write_image):
    write_image(folder / "1.png")
    with open(os.path.join(os.fsencode(folder), b"\xff.t\xfft"), "wb"):
        pass
    assert find_images(folder) == [folder / "1.png"]


def test_a_folder_of_such_a_name_is_refused(tmp_path, write_image):
    folder = tmp_path / os.fsdecode(b"\xff")
    write_image(folder / "1.png")
    for path in (folder, folder / "1.png"):
        with pytest.raises(
            UserError, match=r"\\udcff.*: expected the name of a f.* in UTF-8"
        ) as caught:
            find_images(path)
        assert str(caught.value).isprintable()


def test_parquet_files_of_such_names_are_refused(folder):
    table = pa.table({"image": [{"bytes": b"", "path": None}]})
    pyarrow.parquet.write_table(table, folder / "train-0.parquet")
    os.rename(folder / "train-0.parquet", os.path.join(os.fsencode(folder), b"train-\xff.parquet"))
    expected = r"/train-\\udcff\.parquet: expected the name of a file in UTF-8"
    with pytest.raises(UserError, match=expected):
        open_data_set(DataSettings(path=folder))
    with pytest.raises(UserError, match=expected):
        open_image_stream(folder / os.fsdecode(b"train-\xff.parquet"))


def test_a_folder_of_parquet_files_of_such_a_name_is_refused(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    table = pa.table({"image": [{"bytes": b"", "path": None}]})
    with pyarrow.OSFile(os.fsencode(folder / "train.parquet"), "wb") as file:
        pyarrow.parquet.write_table(table, file)
    with pytest.raises(UserError, match=r"^data\.path: expected a path in UTF-8"):
        DataSettings(path=folder)
    with pytest.raises(UserError, match=r"\\udcff: expected the name of a folder in UTF-8"):
        find_parquet(folder)


def test_classes_of_such_names_are_refused(folder):
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": ["cat", "\ud800"]},
    }
    cells = [{"bytes": png_bytes(np.zeros((8, 8), np.uint8)), "path": None}] * 2
    table = pa.table({"image": cells, "label": [0, 1]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pyarrow.parquet.write_table(table, folder / "train-0.parquet")
    with pytest.raises(UserError, match=r"^\\ud800: expected the name of a class in UTF-8"):
        open_data_set(DataSettings(path=folder))


def test_classes_of_arrays_are_refused_too():
    images = np.zeros((2, 8, 8), np.uint8)
    with pytest.raises(UserError, match=r"^\\udcff: expected the name of a class in UTF-8"):
        data_set_from_arrays(images, np.array([0, 1]), classes=["cat", "\udcff"])
