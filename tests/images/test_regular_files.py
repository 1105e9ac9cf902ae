"""Pipes, sockets and devices in the place of image files."""

import os
import socket

import pyarrow as pa
import pyarrow.parquet
import pytest

from convergan.data.image_stream import open_image_stream
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.images.decode import Unreadable, decode
from convergan.images.read_images import find_images, read_images
from convergan.images.regular_files import open_regular
from convergan.recipes.settings import DataSettings
from convergan.study.preparation.image_files import ImageFile


@pytest.fixture
def pipe(tmp_path, write_image):
    """A maker of pipes with an image in them: whoever reads one gets that, and none waits for a writer."""
    opened = []

    def make(path):
        write_image(tmp_path / "within.png")
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
        opened.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        os.write(opened[-1], (tmp_path / "within.png").read_bytes())

    yield make
    content = (tmp_path / "within.png").read_bytes()
    try:
        assert all(os.read(descriptor, 2**16) == content for descriptor in opened), (
            "something read a pipe"
        )
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_a_pipe_among_images_is_named_or_skipped(folder, write_image, pipe):
    for number in range(4):
        write_image(folder / "ab"[number % 2] / f"{number}.png", seed=number)
    pipe(folder / "b" / "pipe.png")
    with pytest.raises(
        UserError,
        match=r"b/pipe\.png: expected a readable image, got a named pipe, which is not a regular file;"
        r" --data\.skip-unreadable",
    ):
        open_data_set(DataSettings(path=folder))
    data = open_data_set(DataSettings(path=folder, skip_unreadable=True))
    assert len(data.train) == 4
    assert [image.name for image in data.skipped] == ["b/pipe.png"]


def test_a_pipe_among_images_to_look_at_is_named(folder, write_image, pipe):
    write_image(folder / "a.png")
    pipe(folder / "b.png")
    with pytest.raises(UserError, match=r"b\.png: expected a readable image, got a named pipe"):
        list(read_images(find_images(folder), size=(8, 8), channels=3, resize=False))
    stream = open_image_stream(folder)
    results = list(stream.decoded(3, (8, 8), slice(None)))
    assert str(results[1]) == "a named pipe, which is not a regular file"


@pytest.mark.parametrize("name", ["pipe", "pipe.npy", "pipe.parquet"])
def test_a_pipe_in_place_of_all_images_is_named(tmp_path, pipe, name):
    pipe(tmp_path / name)
    for opening in (find_images, open_image_stream):
        with pytest.raises(
            UserError,
            match=rf"{name}: expected an image(,| or) .*, got a named pipe, which is not a",
        ):
            opening(tmp_path / name)


def test_a_pipe_that_is_to_be_looked_at_is_named_or_skipped(tmp_path, write_image, pipe):
    pipe(tmp_path / "x.png")
    write_image(tmp_path / "y.png")
    files = [*find_images(tmp_path / "x.png"), *find_images(tmp_path / "y.png")]
    with pytest.raises(UserError, match=r"x\.png: expected a readable image, got a named pipe"):
        list(read_images(files, size=(8, 8), channels=3, resize=False))
    skipped = []
    ((names, _),) = read_images(
        files, size=(8, 8), channels=3, resize=False, unreadable=skipped.append
    )
    assert names == [str(tmp_path / "y.png")]
    assert [image.name for image in skipped] == [str(tmp_path / "x.png")]
    assert ImageFile("set", tmp_path, str(tmp_path / "x.png"), practice=False).header is None


def test_a_pipe_in_place_of_a_table_of_labels_is_named(folder, write_image, pipe):
    write_image(folder / "a.png")
    pipe(folder / "metadata.csv")
    with pytest.raises(UserError, match=r"metadata\.csv: expected comma-sep.*, got a named pipe"):
        open_data_set(DataSettings(path=folder))


def test_a_pipe_named_as_parquet_is_named(folder, pipe):
    pipe(folder / "train-0.parquet")
    with pytest.raises(
        UserError, match=r"train-0\.parquet: expected a parquet file, got a named pipe"
    ):
        open_data_set(DataSettings(path=folder))


def test_a_pipe_that_parquet_gives_the_path_of_is_named(folder, pipe):
    pipe(folder / "a.png")
    table = pa.table({"image": [{"bytes": None, "path": "a.png"}]})
    pyarrow.parquet.write_table(table, folder / "train-0.parquet")
    with pytest.raises(UserError, match=r"row 0: expected a readable image, got a named pipe"):
        open_data_set(DataSettings(path=folder))


def test_other_kinds_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        # Relative: the path of a socket is short.
        listening.bind("socket.png")
        os.symlink("/dev/zero", "device.png")
        os.mkdir("folder.png")
        for name, kind in (
            ("socket", "a socket"),
            ("device", "a character device"),
            ("folder", "a folder"),
        ):
            with pytest.raises(Unreadable, match=f"^{kind}, which is not a regular file$"):
                decode(f"{name}.png")


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(tmp_path, monkeypatch):
    file = tmp_path / "x.png"
    file.write_bytes(b"content")
    stat = os.stat

    def replaced_after(path, *args, **kwargs):
        result = stat(path, *args, **kwargs)
        if path == file:
            file.unlink()
            os.mkfifo(file)
        return result

    descriptors = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "stat", replaced_after)
    with pytest.raises(OSError, match="a named pipe"):
        open_regular(file)
    monkeypatch.undo()
    assert set(os.listdir("/proc/self/fd")) == descriptors


def test_a_regular_file_is_opened(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    with os.fdopen(open_regular(tmp_path / "x"), "rb") as file:
        assert file.read() == b"content"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")
